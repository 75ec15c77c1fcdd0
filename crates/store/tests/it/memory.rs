//! Notes and texts of records: whose they are, how they are found, and what tells that they changed.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::collections::BTreeSet;

use serde_json::json;
use store::{
    Store, StoreError,
    memory::{MemoryChange, NewMemory, Shelf, Vectored},
    recall::{AllFound, Found, NoteFilter, OtherForm, Sought, SoughtTerm},
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

fn terms(text: &str) -> Vec<SoughtTerm> {
    let term = |word| SoughtTerm {
        word,
        others: Vec::new(),
    };
    words(text).into_iter().map(term).collect()
}

/// What the words of `text` find, with the sum of the rarities of those that each note has, the most first.
async fn found(store: &Store, text: &str, filter: &NoteFilter) -> Vec<Found<String>> {
    let sought = Sought {
        terms: terms(text),
        vectored: None,
    };
    let AllFound { terms, mut texts } = store.recall_notes(&sought, filter).await.unwrap();
    let score = |found: &Found<String>| -> f64 {
        let words = sought.terms.iter().zip(&terms);
        let had = words.filter(|(term, _)| found.words.contains(&term.word));
        had.map(|(_, term)| term.rarity).sum()
    };
    texts.sort_by(|a, b| score(b).total_cmp(&score(a)));
    texts
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
            .all(|found| (0.0..=1.0).contains(&found.brevity) && found.cosine.is_none())
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
        terms: Vec::new(),
        vectored: Some(vectored([0.8, 0.6, 0.0, 0.0])),
    };
    let all = store.recall_notes(&sought, &filter(&own, "")).await;
    let mut best = all.unwrap().texts;
    best.sort_by(|a, b| b.cosine.unwrap().total_cmp(&a.cosine.unwrap()));
    assert_eq!(best[0].key, near);
    assert!((best[0].cosine.unwrap() - 0.96).abs() < 1e-6, "{best:?}");
    assert!(best.iter().all(|found| found.key != other));
}

#[tokio::test]
async fn what_one_of_words_and_vectors_finds_comes_with_what_the_other_says_of_it() {
    let (_database, store) = furnished().await;
    let own = shelf(None, None);
    // More than vectors find, all nearer than the one that words find.
    for n in 0..store::recall::CANDIDATES_MAX + 10 {
        let mut new = note(&own, "", &format!("note {n}"));
        new.vectored = Some(vectored([1.0, 0.0, 0.0, 0.0]));
        add(&store, &new).await;
    }
    let mut far = note(&own, "", "kettle");
    far.vectored = Some(vectored([-0.6, 0.8, 0.0, 0.0]));
    let far = add(&store, &far).await;
    let sought = Sought {
        terms: terms("kettle"),
        vectored: Some(vectored([1.0, 0.0, 0.0, 0.0])),
    };
    let found = store.recall_notes(&sought, &filter(&own, "")).await;
    let texts = found.unwrap().texts;
    assert_eq!(texts.len() as i64, store::recall::CANDIDATES_MAX + 1);
    let by_words = texts.iter().find(|found| found.key == far).unwrap();
    assert!((by_words.cosine.unwrap() + 0.6).abs() < 1e-6);
    let others = texts.iter().filter(|found| found.key != far);
    for other in others {
        assert_eq!(other.words.len(), 2, "{other:?}");
        assert_eq!(other.words[1], "note");
    }
}

#[tokio::test]
async fn a_guess_is_looked_for_only_where_nobody_wrote_the_word_itself() {
    let (_database, store) = furnished().await;
    let own = shelf(None, None);
    let card = add(&store, &note(&own, "", "a card")).await;
    let guessed = SoughtTerm {
        word: "crad".to_owned(),
        others: vec![OtherForm {
            word: "card".to_owned(),
            worth: 0.7,
            is_guess: true,
        }],
    };
    let sought = Sought {
        terms: vec![guessed],
        vectored: None,
    };
    let found = store
        .recall_notes(&sought, &filter(&own, ""))
        .await
        .unwrap();
    assert_eq!(found.texts[0].key, card);
    assert!(!found.terms[0].is_known);
    let crad = add(&store, &note(&own, "", "a crad")).await;
    let found = store
        .recall_notes(&sought, &filter(&own, ""))
        .await
        .unwrap();
    let keys: Vec<&String> = found.texts.iter().map(|found| &found.key).collect();
    assert_eq!(keys, [&crad]);
    assert!(found.terms[0].is_known);
}

#[tokio::test]
async fn a_long_text_comes_with_the_words_alone_that_are_asked_for() {
    let (_database, store) = furnished().await;
    let own = shelf(None, None);
    let long: String = (0..=store::recall::WORDS_TOLD_MAX)
        .map(|n| format!("w{n} "))
        .collect();
    add(&store, &note(&own, "", &format!("{long} it's"))).await;
    let best = found(&store, "w7 it's nowhere", &filter(&own, "")).await;
    let words: BTreeSet<&str> = best[0].words.iter().map(String::as_str).collect();
    assert_eq!(words, BTreeSet::from(["it's", "w7"]));
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
