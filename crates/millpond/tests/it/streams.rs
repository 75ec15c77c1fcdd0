//! Streams end with the key they were asked for with.

use std::time::Duration;

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::world::World;

const KEY: &str = "a-key-of-the-configuration";
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads until `text` has come, or the stream has ended.
async fn read_until(stream: &mut TcpStream, seen: &mut String, text: &str) -> bool {
    let read = async {
        while !seen.contains(text) {
            let mut buffer = [0; 4096];
            let count = stream.read(&mut buffer).await.unwrap();
            seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
            // The last chunk of an answer is empty.
            if count == 0 || seen.ends_with("\r\n0\r\n\r\n") {
                return false;
            }
        }
        true
    };
    let done = tokio::time::timeout(PATIENCE, read).await;
    done.unwrap_or_else(|_| panic!("neither `{text}` nor the end came: {seen}"))
}

#[tokio::test]
async fn x11_a_stream_of_changes_or_events_ends_when_its_key_is_revoked() {
    let world = World::with_keys(&[KEY]).await;
    for (n, path) in ["/v1/changes", "/v1/events"].into_iter().enumerate() {
        let headers = [("x-api-key", KEY), ("content-type", "application/json")];
        let key = json!({ "role": "admin", "title": path }).to_string();
        let made = world.send("POST", "/v1/keys", &headers, Some(key)).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let made = made.json();
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\nx-api-key: {}\r\n\r\n",
            made["credential"].as_str().unwrap()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut seen = String::new();
        assert!(read_until(&mut stream, &mut seen, "\r\n\r\n").await);
        let happen = async |id: &str| {
            world
                .write("cin7.sale", "pond-uk", &[(id, r#"{"A": 1}"#)])
                .await;
            let data = json!({ "id": id });
            world.store.tell("test:seen", None, &data).await.unwrap();
        };
        happen(&format!("before-{n}")).await;
        assert!(read_until(&mut stream, &mut seen, &format!("before-{n}")).await);
        let path = format!("/v1/keys/{}", made["id"].as_str().unwrap());
        let revoked = world.send("DELETE", &path, &headers, None).await;
        assert_eq!(revoked.status, 200, "{}", revoked.body);
        happen(&format!("after-{n}")).await;
        let is_told = read_until(&mut stream, &mut seen, &format!("after-{n}")).await;
        assert!(!is_told, "{seen}");
    }
}
