//! Events over HTTP and on the command line.

use std::time::Duration;

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::world::World;

/// Whoever waits for an event gives up after this.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn b61_the_event_stream_shows_what_happens_as_it_happens() {
    let world = World::new().await;
    let before = world
        .store
        .tell("test:before", None, &json!({}))
        .await
        .unwrap();
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let request = "GET /v1/events?name=cache: HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut seen = read_until(&mut stream, "\r\n\r\n").await;
    for name in [
        "cache:opportunities:refresh:started",
        "test:other",
        "cache:opportunities:refresh:completed",
    ] {
        world
            .store
            .tell(name, Some("psa"), &json!({ "run": 7 }))
            .await
            .unwrap();
    }
    seen.push_str(&read_until(&mut stream, "refresh:completed").await);
    assert!(seen.contains("text/event-stream"), "{seen}");
    assert!(seen.contains("refresh:started"), "{seen}");
    assert!(!seen.contains("test:"), "{seen}");
    drop(stream);

    // A reader that comes back goes on where it was.
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let request = format!(
        "GET /v1/events HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\nlast-event-id: {before}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let seen = read_until(&mut stream, "refresh:completed").await;
    assert!(
        seen.contains("refresh:started") && seen.contains("test:other"),
        "{seen}"
    );
}

#[tokio::test]
async fn events_are_read_page_by_page_and_waited_for() {
    let world = World::new().await;
    for n in 1..=5 {
        world
            .store
            .tell("test:counted", None, &json!({ "n": n }))
            .await
            .unwrap();
    }
    let latest = world.get("/v1/events?limit=2").await.json();
    assert_eq!(latest["events"][0]["data"]["n"], 4, "{latest}");
    let page = world.get("/v1/events?after=0&limit=3").await.json();
    assert_eq!(page["events"].as_array().unwrap().len(), 3);
    let next = page["next"].as_i64().unwrap();
    let page = world.get(&format!("/v1/events?after={next}")).await.json();
    assert_eq!(page["events"][0]["data"]["n"], 4, "{page}");

    let next = page["next"].as_i64().unwrap();
    let path = format!("/v1/events?after={next}&wait=30s");
    let (page, ()) = tokio::join!(world.get(&path), async {
        // The question is on its way: an answer before the event would be empty.
        tokio::time::sleep(Duration::from_millis(100)).await; // gives the reader time to wait
        world
            .store
            .tell("test:late", None, &json!({}))
            .await
            .unwrap();
    });
    assert_eq!(
        page.json()["events"][0]["name"],
        "test:late",
        "{}",
        page.body
    );

    let reply = world.get("/v1/events?after=x").await;
    assert_eq!(reply.status, 400);
}

async fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut seen = String::new();
    let read = async {
        while !seen.contains(text) {
            let mut buffer = [0; 4096];
            let count = stream.read(&mut buffer).await.unwrap();
            assert!(count > 0, "the stream ended: {seen}");
            seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    };
    let read = timeout(PATIENCE, read).await.is_ok();
    assert!(read, "`{text}` never came: {seen}");
    seen
}
