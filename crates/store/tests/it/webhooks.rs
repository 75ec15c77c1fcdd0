//! Webhooks: whose they are, who delivers, and that each change is in one delivery.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::json;
use store::{
    Store, StoreError,
    changes::ChangeCursor,
    instances::Instance,
    tenants::TenantChange,
    testing::TestDatabase,
    webhooks::{
        DEAD_MAX, DELIVERED_KEPT, Errand, Fate, Miss, NewWebhook, Told, WEBHOOKS_MAX, WebhookChange,
    },
};

use crate::POLL;

const LEASE: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(60);

fn new(name: &str) -> NewWebhook {
    NewWebhook {
        name: name.to_owned(),
        tenant: None,
        project: None,
        url: "https://example.com/hook".to_owned(),
        resources: None,
        instances: None,
        after: None,
    }
}

async fn instance(store: &Store, name: &str) {
    let row = Instance {
        name: name.to_owned(),
        connector: "desk".to_owned(),
        currency: None,
        reporting: None,
        paused: false,
    };
    store.save_instance(&row).await.unwrap();
}

/// A change, without the record that it is about. The feed has it once no transaction on the whole server is older.
async fn change(store: &Store, id: &str) {
    sqlx::query(
        "INSERT INTO millpond.change (op, resource, instance, id, version) VALUES ('i', 'desk.deal', 'psa', $1, 1)",
    )
    .bind(id)
    .execute(store.pool())
    .await
    .unwrap();
    let began = Instant::now();
    loop {
        let feed = store.changes_after(ChangeCursor::default(), 100).await;
        if feed.unwrap().0.iter().any(|change| change.id == id) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "the feed does not have {id}");
        tokio::time::sleep(POLL).await;
    }
}

async fn take(store: &Store) -> Option<Errand> {
    let newest = store.newest_change().await.unwrap();
    store.take_webhook("me", LEASE, newest).await.unwrap()
}

fn told(place: ChangeCursor) -> Told {
    Told {
        changes: vec![json!({ "instance": "psa", "id": "1" })],
        first_at: Timestamp::now(),
        last_cursor: place.to_string(),
    }
}

fn miss(error: &str) -> Miss {
    Miss {
        status: Some(500),
        error: error.to_owned(),
    }
}

#[tokio::test]
async fn a_webhook_belongs_to_its_tenant_and_its_name_is_one_of_its_kind_there() {
    let database = TestDatabase::fresh().await;
    let store = database.store();
    store
        .create_tenant("acme", &TenantChange::default())
        .await
        .unwrap();
    let acme = NewWebhook {
        tenant: Some("acme".to_owned()),
        ..new("erp")
    };
    let (_, ours) = store.create_webhook(&new("erp")).await.unwrap();
    let (_, theirs) = store.create_webhook(&acme).await.unwrap();
    assert_ne!(ours, theirs);
    let twice = store.create_webhook(&acme).await.unwrap_err();
    assert!(matches!(twice, StoreError::Exists { .. }), "{twice}");
    for (tenant, expected) in [(None, 1), (Some("acme"), 1), (Some("other"), 0)] {
        assert_eq!(store.webhooks(tenant).await.unwrap().len(), expected);
    }
    let nobodys = NewWebhook {
        tenant: Some("nobody".to_owned()),
        ..new("erp")
    };
    let of_project = NewWebhook {
        project: Some("web".to_owned()),
        ..acme.clone()
    };
    let of_project = NewWebhook {
        name: "other".to_owned(),
        ..of_project
    };
    let of_resource = NewWebhook {
        resources: Some(vec!["desk.nothing".to_owned()]),
        ..new("third")
    };
    let of_instance = NewWebhook {
        instances: Some(vec!["psa".to_owned()]),
        ..new("third")
    };
    for wrong in [&nobodys, &of_project, &of_resource, &of_instance] {
        let error = store.create_webhook(wrong).await.unwrap_err();
        assert!(matches!(error, StoreError::Unknown { .. }), "{error}");
    }
    assert_eq!(store.webhooks(None).await.unwrap().len(), 1);
    let _ = store.delete_tenant("acme").await.unwrap();
    assert!(store.webhooks(Some("acme")).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_signs_is_in_no_row_and_shown_by_nothing() {
    let database = TestDatabase::fresh().await;
    let store = database.store();
    let (webhook, key) = store.create_webhook(&new("erp")).await.unwrap();
    change(&store, "1").await;
    let errand = take(&store).await.unwrap();
    assert_eq!(errand.keys, std::slice::from_ref(&key));
    let hex: String = key.expose().iter().map(|b| format!("{b:02x}")).collect();
    let bytes = format!("{:?}", key.expose());
    let shown = format!("{webhook:?} {errand:?} {key:?}");
    assert!(shown.contains("SigningKey(…)"), "{shown}");
    for secret in [&hex, &bytes, &bytes[1..20].to_owned()] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let rows: Vec<String> = sqlx::query_scalar("SELECT w::text FROM millpond.webhook w")
        .fetch_all(store.pool())
        .await
        .unwrap();
    assert!(!rows.concat().contains(&hex));
    // A webhook that is made anew under an old name signs with something new.
    store.delete_webhook(None, "erp").await.unwrap();
    let (_, again) = store.create_webhook(&new("erp")).await.unwrap();
    assert_ne!(again, key);
}

#[tokio::test]
async fn after_a_rotation_both_secrets_sign_for_a_while() {
    let database = TestDatabase::fresh().await;
    let store = database.store();
    let (_, old) = store.create_webhook(&new("erp")).await.unwrap();
    let (webhook, key) = store.rotate_webhook(None, "erp").await.unwrap();
    assert!(webhook.rotated_at.is_some());
    change(&store, "1").await;
    let errand = take(&store).await.unwrap();
    assert_eq!(errand.keys, [key.clone(), old]);
    sqlx::query("UPDATE millpond.webhook SET rotated_at = rotated_at - interval '25 hours'")
        .execute(store.pool())
        .await
        .unwrap();
    let errand = store.renew_webhook(errand.lease, LEASE).await.unwrap();
    assert_eq!(errand.unwrap().keys, [key]);
}

#[tokio::test]
async fn there_are_no_more_webhooks_than_may_be() {
    let database = TestDatabase::fresh().await;
    let store = database.store();
    for n in 0..WEBHOOKS_MAX {
        store.create_webhook(&new(&format!("w{n}"))).await.unwrap();
    }
    let error = store.create_webhook(&new("more")).await.unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
}

#[tokio::test]
async fn one_process_delivers_at_a_time_and_who_lost_the_lease_writes_nothing() {
    let database = TestDatabase::fresh().await;
    let store = database.store();
    store.create_webhook(&new("erp")).await.unwrap();
    assert!(take(&store).await.is_none(), "there is nothing to tell");
    change(&store, "1").await;
    let first = take(&store).await.unwrap();
    assert!(take(&store).await.is_none(), "it is taken");
    let newest = store.newest_change().await.unwrap();
    let moved = store
        .advance_webhook(first.lease, first.cursor, newest, Some(&told(newest)))
        .await
        .unwrap();
    assert!(moved);
    let parcel = store.next_parcel(first.lease).await.unwrap().unwrap();
    assert!(parcel.id.starts_with("msg_"), "{}", parcel.id);
    // As if the lease had run out.
    sqlx::query(
        "UPDATE millpond.webhook SET lease_until = clock_timestamp() - interval '1 second'",
    )
    .execute(store.pool())
    .await
    .unwrap();
    let second = take(&store).await.unwrap();
    assert_eq!(second.cursor, newest);
    assert_eq!(
        store.next_parcel(second.lease).await.unwrap(),
        Some(parcel.clone())
    );
    let lost = first.lease;
    assert!(store.renew_webhook(lost, LEASE).await.unwrap().is_none());
    assert!(
        !store
            .end_delivery(lost, parcel.number, Some(200))
            .await
            .unwrap()
    );
    let noted = store
        .miss_delivery(lost, parcel.number, &miss("x"), LEASE, true)
        .await;
    assert_eq!(noted.unwrap(), None);
    assert!(
        !store
            .stop_webhook(lost, parcel.number, &miss("x"), "x")
            .await
            .unwrap()
    );
    let back = ChangeCursor::default();
    assert!(
        !store
            .advance_webhook(lost, newest, back, None)
            .await
            .unwrap()
    );
    store.put_webhook_down(lost).await.unwrap();
    assert!(take(&store).await.is_none(), "the second still has it");
    assert!(
        store
            .end_delivery(second.lease, parcel.number, Some(200))
            .await
            .unwrap()
    );
    assert_eq!(store.next_parcel(second.lease).await.unwrap(), None);
    store.put_webhook_down(second.lease).await.unwrap();
    assert!(take(&store).await.is_none(), "all is told");
}

#[tokio::test]
async fn a_place_that_somebody_moved_is_not_moved_on_from_the_old_one() {
    let database = TestDatabase::fresh().await;
    let store = database.store();
    let (webhook, _) = store.create_webhook(&new("erp")).await.unwrap();
    let start: ChangeCursor = webhook.cursor.parse().unwrap();
    change(&store, "1").await;
    change(&store, "2").await;
    let errand = take(&store).await.unwrap();
    let newest = store.newest_change().await.unwrap();
    assert!(
        store
            .advance_webhook(errand.lease, start, newest, None)
            .await
            .unwrap()
    );
    store.replay_from(&webhook, start).await.unwrap();
    let stale = store
        .advance_webhook(errand.lease, newest, newest, Some(&told(newest)))
        .await;
    assert!(!stale.unwrap());
    let renewed = store
        .renew_webhook(errand.lease, LEASE)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(renewed.cursor, start);
    assert!(store.next_parcel(errand.lease).await.unwrap().is_none());
}

#[tokio::test]
async fn what_is_given_up_is_kept_until_there_are_too_many_and_then_the_line_stands() {
    let database = TestDatabase::fresh().await;
    let store = database.store();
    let (webhook, _) = store.create_webhook(&new("erp")).await.unwrap();
    sqlx::query(
        "INSERT INTO millpond.webhook_delivery (webhook, id, state, changes, change_count, first_at, last_cursor) \
         SELECT $1, 'msg_' || n, 'dead', '[]', 1, now(), '0-0' FROM generate_series(1, $2) n",
    )
    .bind(webhook.id)
    .bind(DEAD_MAX - 1)
    .execute(store.pool())
    .await
    .unwrap();
    change(&store, "1").await;
    let errand = take(&store).await.unwrap();
    let at = errand.cursor;
    for expected in [Fate::Dead, Fate::Stands, Fate::Stands] {
        if store.next_parcel(errand.lease).await.unwrap().is_none() {
            let told = told(at);
            assert!(
                store
                    .advance_webhook(errand.lease, at, at, Some(&told))
                    .await
                    .unwrap()
            );
        }
        let parcel = store.next_parcel(errand.lease).await.unwrap().unwrap();
        let fate = store
            .miss_delivery(
                errand.lease,
                parcel.number,
                &miss("it answered 500: no"),
                LEASE,
                true,
            )
            .await;
        assert_eq!(fate.unwrap(), Some(expected));
    }
    let webhook = store.load_webhook(None, "erp").await.unwrap();
    assert_eq!((webhook.dead, webhook.pending), (DEAD_MAX, 1));
    let page = store
        .deliveries(&webhook, Some("dead"), None, 1)
        .await
        .unwrap();
    assert_eq!(page[0].error.as_deref(), Some("it answered 500: no"));
    assert_eq!((page[0].status, page[0].attempts), (Some(500), 1));
    assert!(page[0].ended_at.is_some());
    store.put_webhook_down(errand.lease).await.unwrap();
    assert!(take(&store).await.is_none(), "it rests");
    // What is replayed goes first, at once.
    assert_eq!(store.replay_dead(&webhook, Some("msg_7")).await.unwrap(), 1);
    let errand = take(&store).await.unwrap();
    let parcel = store.next_parcel(errand.lease).await.unwrap().unwrap();
    assert_eq!((parcel.id.as_str(), parcel.attempts), ("msg_7", 0));
    let error = store
        .replay_dead(&webhook, Some("msg_7"))
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Unknown { .. }), "{error}");
    let all = store.replay_dead(&webhook, None).await.unwrap();
    assert_eq!(i64::try_from(all).unwrap(), DEAD_MAX - 1);
}

#[tokio::test]
async fn only_the_latest_deliveries_that_arrived_are_kept() {
    let database = TestDatabase::fresh().await;
    let store = database.store();
    store.create_webhook(&new("erp")).await.unwrap();
    change(&store, "1").await;
    let errand = take(&store).await.unwrap();
    let at = errand.cursor;
    let mut numbers = Vec::new();
    for _ in 0..DELIVERED_KEPT + 3 {
        let told = told(at);
        assert!(
            store
                .advance_webhook(errand.lease, at, at, Some(&told))
                .await
                .unwrap()
        );
        let parcel = store.next_parcel(errand.lease).await.unwrap().unwrap();
        assert!(
            store
                .end_delivery(errand.lease, parcel.number, Some(204))
                .await
                .unwrap()
        );
        numbers.push(parcel.number);
    }
    let webhook = store.load_webhook(None, "erp").await.unwrap();
    let kept = store.deliveries(&webhook, None, None, 1000).await.unwrap();
    let kept: Vec<i64> = kept.iter().rev().map(|delivery| delivery.number).collect();
    assert_eq!(kept, numbers[3..]);
}

#[tokio::test]
async fn a_scope_sees_the_instances_of_its_tenant_that_its_project_shows() {
    let database = TestDatabase::fresh().await;
    let store = database.store();
    for name in ["uk", "eu", "us"] {
        instance(&store, name).await;
    }
    store
        .create_tenant("acme", &TenantChange::default())
        .await
        .unwrap();
    for name in ["uk", "eu"] {
        let _ = store.own_instance(name, Some("acme")).await.unwrap();
    }
    let shown = ["eu".to_owned()];
    let _ = store
        .create_project("acme", "web", None, Some(&shown))
        .await
        .unwrap();
    for (name, tenant, project) in [
        ("a", None, None),
        ("b", Some("acme"), None),
        ("c", Some("acme"), Some("web")),
    ] {
        let scoped = NewWebhook {
            tenant: tenant.map(str::to_owned),
            project: project.map(str::to_owned),
            ..new(name)
        };
        store.create_webhook(&scoped).await.unwrap();
    }
    change(&store, "1").await;
    let mut seen = Vec::new();
    while let Some(errand) = take(&store).await {
        let sees = errand.sees.map(|mut sees| {
            sees.sort();
            sees.join(" ")
        });
        seen.push((errand.name, sees));
    }
    seen.sort();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        seen,
        [
            ("a".to_owned(), None),
            ("b".to_owned(), text("eu uk")),
            ("c".to_owned(), text("eu"))
        ]
    );
    let foreign = WebhookChange {
        instances: Some(Some(vec!["us".to_owned()])),
        ..WebhookChange::default()
    };
    let refused = store
        .change_webhook(Some("acme"), "b", &foreign)
        .await
        .unwrap_err();
    assert!(
        matches!(
            refused,
            StoreError::Unknown {
                what: "instance",
                ..
            }
        ),
        "{refused}"
    );
    assert!(store.change_webhook(None, "a", &foreign).await.is_ok());
}

#[tokio::test]
async fn a_webhook_says_when_changes_were_forgotten_before_it_was_told() {
    let database = TestDatabase::fresh().await;
    let store = database.store();
    for name in ["behind", "ahead"] {
        store.create_webhook(&new(name)).await.unwrap();
    }
    change(&store, "1").await;
    let newest = store.newest_change().await.unwrap();
    let ahead = store.load_webhook(None, "ahead").await.unwrap();
    store.replay_from(&ahead, newest).await.unwrap();
    let behind = store.load_webhook(None, "behind").await.unwrap();
    assert!(behind.lag_secs > 0.0 && behind.missed_before.is_none());
    assert_eq!(
        store.load_webhook(None, "ahead").await.unwrap().lag_secs,
        0.0
    );
    let before = Timestamp::now() + jiff::Span::new().hours(1);
    store.forget_before(before).await.unwrap();
    let missed = async |name: &str| store.load_webhook(None, name).await.unwrap().missed_before;
    assert!(missed("behind").await.is_some());
    assert_eq!(missed("ahead").await, None);
}

#[tokio::test]
async fn a_time_is_found_in_the_feed() {
    let database = TestDatabase::fresh().await;
    let store = database.store();
    assert_eq!(
        store.cursor_at(Timestamp::now()).await.unwrap(),
        ChangeCursor::default()
    );
    for id in ["1", "2", "3"] {
        change(&store, id).await;
    }
    let (changes, end) = store
        .changes_after(ChangeCursor::default(), 10)
        .await
        .unwrap();
    let after = store.cursor_at(changes[1].at).await.unwrap();
    let (rest, _) = store.changes_after(after, 10).await.unwrap();
    let ids: Vec<&str> = rest.iter().map(|change| change.id.as_str()).collect();
    assert_eq!(ids, ["2", "3"]);
    let later = Timestamp::now() + jiff::Span::new().hours(1);
    assert_eq!(store.cursor_at(later).await.unwrap(), end);
}
