//! Notes and texts of records: whose they are, how they are found, and what tells that they changed.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::collections::BTreeSet;

use serde_json::json;
use store::{
    Store, StoreError,
    memory::{MemoryChange, NewMemory, Shelf, Vectored},
    recall::{Found, NoteFilter, Sought},
    tenants::TenantChange,
    testing::TestDatabase,
};

fn shelf(tenant: Option<&str>, project: Option<&str>) -> Shelf {
    Shelf {
        tenant: tenant.map(str::to_owned),
        project: project.map(str::to_owned),
    }
}

fn words(text: &str) -> Vec<String> {
    let words: BTreeSet<&str> = text.split_whitespace().collect();
    words.into_iter().map(str::to_owned).collect()
}

/// A vector of four numbers; its sketch is their signs.
fn vectored(vector: [f32; 4]) -> Vectored {
    Vectored {
        embedder: "test-1".to_owned(),
        sketch: vector
            .iter()
            .map(|x| if *x > 0.0 { '1' } else { '0' })
            .collect(),
        vector: vector.to_vec(),
    }
}

fn note(shelf: &Shelf, user: &str, text: &str) -> NewMemory {
    NewMemory {
        shelf: shelf.clone(),
        user: user.to_owned(),
        text: text.to_owned(),
        words: words(text),
        vectored: Some(vectored([1.0, 0.0, 0.0, 0.0])),
        tags: Vec::new(),
        tier: "hot".to_owned(),
        session: None,
        metadata: json!({}),
        link: None,
    }
}

fn filter(shelf: &Shelf, user: &str) -> NoteFilter {
    NoteFilter {
        shelf: shelf.clone(),
        user: user.to_owned(),
        tier: None,
        tags: Vec::new(),
        metadata: None,
        session: None,
    }
}

async fn add(store: &Store, new: &NewMemory) -> String {
    store.add_memory(new, None).await.unwrap().unwrap().id
}

async fn found(store: &Store, text: &str, filter: &NoteFilter) -> Vec<Found<String>> {
    let sought = Sought {
        words: words(text),
        vectored: None,
    };
    let mut found = store.recall_notes(&sought, filter).await.unwrap();
    found.sort_by(|a, b| b.words.unwrap().total_cmp(&a.words.unwrap()));
    found
}

async fn furnished() -> (TestDatabase, Store) {
    let database = TestDatabase::fresh().await;
    let store = Store::from_pool(database.pool());
    for tenant in ["acme", "other"] {
        store
            .create_tenant(tenant, &TenantChange::default())
            .await
            .unwrap();
        let (_, told) = store
            .create_project(tenant, "web", None, None)
            .await
            .unwrap();
        store.access_heard(told).await.unwrap();
    }
    (database, store)
}

#[tokio::test]
async fn notes_are_there_for_their_tenant_project_and_user_alone() {
    let (_database, store) = furnished().await;
    let shelves = [
        shelf(None, None),
        shelf(Some("acme"), None),
        shelf(Some("acme"), Some("web")),
        shelf(Some("other"), Some("web")),
    ];
    let mut ids = Vec::new();
    for shelf in &shelves {
        for user in ["", "ann", "bob"] {
            ids.push((
                shelf.clone(),
                user,
                add(&store, &note(shelf, user, "kettle")).await,
            ));
        }
    }
    for asking in &shelves {
        for user in ["", "ann", "bob"] {
            let mut got: Vec<String> = found(&store, "kettle", &filter(asking, user))
                .await
                .into_iter()
                .map(|found| found.key)
                .collect();
            let mut expected: Vec<String> = ids
                .iter()
                .filter(|(shelf, owner, _)| {
                    shelf.tenant == asking.tenant
                        && (asking.project.is_none() || shelf.project == asking.project)
                        && (owner.is_empty() || *owner == user)
                })
                .map(|(.., id)| id.clone())
                .collect();
            got.sort();
            expected.sort();
            assert_eq!(got, expected, "{asking:?} {user}");
        }
        for (shelf, _, id) in &ids {
            let sees = shelf.tenant == asking.tenant
                && (asking.project.is_none() || shelf.project == asking.project);
            let change = MemoryChange {
                tier: Some("warm".to_owned()),
                ..MemoryChange::default()
            };
            assert_eq!(store.find_memory(asking, id).await.unwrap().is_some(), sees);
            assert_eq!(
                store
                    .change_memory(asking, id, &change)
                    .await
                    .unwrap()
                    .is_some(),
                sees
            );
            if !sees {
                assert!(!store.delete_memory(asking, id).await.unwrap());
            }
        }
    }
    let error = store
        .add_memory(&note(&shelf(Some("acme"), Some("none")), "", "x"), None)
        .await;
    assert!(
        matches!(
            error,
            Err(StoreError::Unknown {
                what: "project",
                ..
            })
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn rare_words_count_more_and_vectors_are_compared_exactly() {
    let (_database, store) = furnished().await;
    let own = shelf(None, None);
    for n in 0..30 {
        add(&store, &note(&own, "", &format!("common words number {n}"))).await;
    }
    let rare = add(&store, &note(&own, "", "one rare kettle")).await;
    let best = found(&store, "common kettle", &filter(&own, "")).await;
    assert_eq!(best[0].key, rare);
    assert!(
        best.iter()
            .all(|found| (0.0..=1.0).contains(&found.words.unwrap()))
    );
    assert!(
        found(&store, "nothing 'quoted' back\\slash", &filter(&own, ""))
            .await
            .is_empty()
    );

    let mut near = note(&own, "", "near");
    near.vectored = Some(vectored([0.6, 0.8, 0.0, 0.0]));
    let near = add(&store, &near).await;
    let mut other = note(&own, "", "of another embedder");
    other.vectored = Some(Vectored {
        embedder: "test-2".to_owned(),
        vector: vec![0.6, 0.8],
        sketch: "11".to_owned(),
    });
    let other = add(&store, &other).await;
    let sought = Sought {
        words: Vec::new(),
        vectored: Some(vectored([0.8, 0.6, 0.0, 0.0])),
    };
    let mut best = store
        .recall_notes(&sought, &filter(&own, ""))
        .await
        .unwrap();
    best.sort_by(|a, b| b.cosine.unwrap().total_cmp(&a.cosine.unwrap()));
    assert_eq!(best[0].key, near);
    assert!((best[0].cosine.unwrap() - 0.96).abs() < 1e-6, "{best:?}");
    assert!(best.iter().all(|found| found.key != other));
}

#[tokio::test]
async fn d20_every_write_raises_the_generation_of_whoever_may_see_it_and_of_nobody_else() {
    let (_database, store) = furnished().await;
    let own = shelf(Some("acme"), Some("web"));
    let see = async |user: &str| store.memory_generation(&own, user, &[]).await.unwrap();
    let stranger = shelf(Some("other"), None);
    let of_stranger = store.memory_generation(&stranger, "", &[]).await.unwrap();
    let mut seen = vec![(see("ann").await, see("bob").await)];
    let id = add(&store, &note(&own, "ann", "one")).await;
    seen.push((see("ann").await, see("bob").await));
    let change = MemoryChange {
        tier: Some("cold".to_owned()),
        ..MemoryChange::default()
    };
    store.change_memory(&own, &id, &change).await.unwrap();
    seen.push((see("ann").await, see("bob").await));
    store.delete_memory(&own, &id).await.unwrap();
    seen.push((see("ann").await, see("bob").await));
    let everybodys = add(&store, &note(&own, "", "two")).await;
    let last = (see("ann").await, see("bob").await);
    let of_ann: BTreeSet<&String> = seen.iter().map(|(ann, _)| ann).chain([&last.0]).collect();
    assert_eq!(of_ann.len(), 5, "{seen:?}");
    assert!(seen.iter().all(|(_, bob)| *bob == seen[0].1), "{seen:?}");
    assert_ne!(last.1, seen[0].1);
    // What goes with its project is a write too, and so is what goes with its tenant.
    let told = store.delete_project("acme", "web").await.unwrap();
    store.access_heard(told).await.unwrap();
    assert_eq!(store.find_memory(&own, &everybodys).await.unwrap(), None);
    let after_project = see("ann").await;
    assert_ne!(after_project, last.0);
    add(&store, &note(&shelf(Some("acme"), None), "", "three")).await;
    let before_tenant = see("ann").await;
    let told = store.delete_tenant("acme").await.unwrap();
    store.access_heard(told).await.unwrap();
    assert_ne!(see("ann").await, before_tenant);
    assert_eq!(
        store.memory_generation(&stranger, "", &[]).await.unwrap(),
        of_stranger
    );
}

/// Steps of a writer and a reader in every order: an answer that was made from the state before a write is never kept
/// under a generation that is seen after the write was acknowledged.
#[tokio::test]
async fn x17_what_was_made_before_a_write_is_not_found_after_it() {
    let (_database, store) = furnished().await;
    // Where the write (W) falls among the reader's steps: G reads the generation, S scans.
    for order in ["WGS", "GWS", "GSW"] {
        let own = shelf(Some("acme"), None);
        let user = order;
        let (mut generation, mut scanned) = (String::new(), 0);
        for step in order.chars() {
            match step {
                'W' => drop(add(&store, &note(&own, user, "kettle")).await),
                'G' => generation = store.memory_generation(&own, user, &[]).await.unwrap(),
                _ => scanned = found(&store, "kettle", &filter(&own, user)).await.len(),
            }
        }
        let after = store.memory_generation(&own, user, &[]).await.unwrap();
        // Who asks now is given the kept answer only if it has the write in it.
        assert!(
            after != generation || scanned == 1,
            "{order}: {scanned} under {generation}, now {after}"
        );
    }
}

#[tokio::test]
async fn other_roles_do_not_read_notes() {
    let (database, store) = furnished().await;
    add(&store, &note(&shelf(Some("other"), None), "", "secret")).await;
    let reader = store::reader::Reader::open(&database.pool(), 2)
        .await
        .unwrap();
    let limits = store::reader::Limits::default();
    for table in ["memory", "memory_generation", "recall", "recall_place"] {
        let sql = format!("SELECT * FROM millpond.{table}");
        let refused = reader.query(&sql, &[], &limits).await.unwrap_err();
        assert!(
            refused.to_string().contains("permission denied"),
            "{refused}"
        );
    }
}
