//! `ETag` and `If-None-Match`: the same record is not sent twice, a changed one is.

use crate::world::{CONFIG, Kind, Reply, World};

const RECORD: &str = "/v1/records/cin7.sale/pond-uk/1";
const LIST: &str = "/v1/records/cin7.sale?limit=5";
const SEARCH: &str = "/v1/search?resource=cin7.sale&where=Total%3E=0";

fn header(reply: &Reply, name: &str) -> Option<String> {
    let mut lines = reply.head.lines();
    let found = lines.find_map(|line| line.strip_prefix(&format!("{name}: ")));
    found.map(str::to_owned)
}

fn tag(reply: &Reply) -> String {
    header(reply, "etag").unwrap_or_else(|| panic!("no tag: {}", reply.head))
}

async fn ask(world: &World, path: &str, known: &str) -> Reply {
    let headers = [("if-none-match", known)];
    world.send("GET", path, &headers, None).await
}

#[tokio::test]
async fn who_has_an_answer_is_told_so_until_it_says_something_else() {
    for kind in [Kind::Off, Kind::Memory, Kind::Redis, Kind::TwoTier] {
        let world = World::of(kind, CONFIG, &[]).await;
        let sale = &[("1", r#"{"Total": 1}"#)];
        world.write("cin7.sale", "pond-uk", sale).await;
        for path in [RECORD, LIST, SEARCH] {
            let first = world.get(path).await;
            assert_eq!(first.status, 200, "{}", first.body);
            let tag = tag(&first);
            assert!(tag.starts_with("w/\""), "{tag} is not weak");
            // Out of whichever rung: the source and the age are no part of what it says.
            for known in [tag.clone(), format!("\"other\", {tag}"), "*".to_owned()] {
                let known = known.replace("w/", "W/");
                let again = ask(&world, path, &known).await;
                assert_eq!((again.status, again.body.as_str()), (304, ""), "{path}");
                assert_eq!(header(&again, "etag").as_ref(), Some(&tag));
                assert!(
                    header(&again, "x-as-of").is_some() && header(&again, "x-snapshot").is_some()
                );
                assert_eq!(
                    header(&again, "cache-control").as_deref(),
                    Some("private, no-cache")
                );
            }
            assert_eq!(ask(&world, path, "\"other\"").await.status, 200);
        }
    }
}

#[tokio::test]
async fn a_change_a_deletion_and_a_new_neighbour_are_other_answers() {
    let world = World::of(Kind::Memory, CONFIG, &[]).await;
    let write = async |id: &str, body: &str| {
        world.write("cin7.sale", "pond-uk", &[(id, body)]).await;
    };
    let tags = async || {
        let mut tags = Vec::new();
        for path in [RECORD, LIST, SEARCH] {
            tags.push(tag(&world.get(path).await));
        }
        tags
    };
    write("1", r#"{"Total": 1}"#).await;
    let first = tags().await;
    // The same again is no change.
    write("1", r#"{"Total": 1}"#).await;
    assert_eq!(tags().await, first);
    write("1", r#"{"Total": 2}"#).await;
    let changed = tags().await;
    assert!(first.iter().zip(&changed).all(|(one, other)| one != other));
    // What it said before is another version of it, with another tag.
    write("1", r#"{"Total": 1}"#).await;
    let back = tags().await;
    assert!(changed.iter().zip(&back).all(|(one, other)| one != other));
    write("2", r#"{"Total": 1}"#).await;
    let beside = tags().await;
    assert_eq!(beside[0], back[0], "the record itself did not change");
    assert!(beside[1] != back[1] && beside[2] != back[2]);
    assert_eq!(
        ask(&world, RECORD, &back[0].replace("w/", "W/"))
            .await
            .status,
        304
    );
    assert_eq!(
        ask(&world, RECORD, &changed[0].replace("w/", "W/"))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn what_is_not_there_is_not_known_either() {
    let world = World::of(Kind::Memory, CONFIG, &[]).await;
    let answer = ask(
        &world,
        "/v1/records/cin7.sale/pond-uk/none?no_calls=true",
        "*",
    )
    .await;
    assert_eq!(answer.status, 404);
    let answer = ask(
        &world,
        "/v1/records/cin7.sale/pond-uk/none?no_calls=true",
        "W/\"\"",
    )
    .await;
    assert_eq!(answer.status, 404);
    assert_eq!(header(&answer, "etag"), None);
}
