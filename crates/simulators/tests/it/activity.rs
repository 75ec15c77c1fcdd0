//! Scripted events and single actions.

use crate::client::{sim, sim_with, text};
use simulators::cin7::{Account, Options};
use std::collections::BTreeSet;

#[tokio::test]
async fn the_same_seed_plays_the_same_script() {
    let start_at = Some("2026-01-15T09:00:00Z".parse().unwrap());
    let mut ends = BTreeSet::new();
    for _ in 0..2 {
        let sim = sim_with(Options {
            start_at,
            ..Options::for_testing()
        })
        .await;
        sim.cin7.tick(sim.id(), 120);
        let truth = sim.cin7.truth(sim.id());
        let sales = truth.documents("saleList").into_iter();
        let row = |(id, row): (String, serde_json::Value)| {
            format!("{id} {} {}", text(&row, "Status"), row["InvoiceAmount"])
        };
        ends.insert(sales.map(row).collect::<Vec<_>>());
    }
    assert_eq!(ends.len(), 1);
}

#[tokio::test]
async fn every_action_changes_exactly_what_it_names() {
    let sim = sim().await;
    let count = async |since: &str| {
        sim.get(&format!("saleList?UpdatedSince={since}")).await["Total"]
            .as_u64()
            .unwrap()
    };
    let mark = || {
        sim.cin7.clock().advance(std::time::Duration::from_secs(60));
        sim.cin7.clock().now().to_string()
    };
    let now = mark();
    assert_eq!(count(&now).await, 0);
    let edited = sim.cin7.edit_sales(sim.id(), 10);
    assert_eq!((edited.len(), count(&now).await), (10, 10));
    let now = mark();
    sim.cin7.bulk_touch(sim.id(), 50);
    let touched = sim
        .all(&format!("saleList?UpdatedSince={now}"), "SaleList")
        .await;
    let stamps: BTreeSet<String> = touched.iter().map(|row| text(row, "Updated")).collect();
    assert_eq!((touched.len(), stamps.len()), (50, 1));
    let now = mark();
    let added = sim.cin7.add_sales(sim.id(), 3);
    assert_eq!((added.len(), count(&now).await), (3, 3));
    let now = mark();
    assert!(sim.cin7.void_sale(sim.id(), &added[0]));
    let row = &sim.get(&format!("saleList?UpdatedSince={now}")).await["SaleList"][0];
    assert_eq!(
        (text(row, "SaleID"), text(row, "Status")),
        (added[0].clone(), "VOIDED".into())
    );
    assert!(sim.cin7.delete_sale(sim.id(), &added[1]));
    assert_eq!(
        sim.call("GET", &format!("sale?ID={}", added[1]), None)
            .await
            .status,
        400
    );
    assert_eq!(sim.get("saleList").await["Total"], 202);
    assert!(sim.cin7.delete_book_row(sim.id(), "ref/brand", "Millrace"));
    assert_eq!(sim.get("ref/brand").await["Total"], 2);
    let now = mark();
    assert_eq!(sim.cin7.edit_products(sim.id(), 4).len(), 4);
    assert_eq!(
        sim.get(&format!("product?ModifiedSince={now}")).await["Total"],
        4
    );
}

#[tokio::test]
async fn accounts_scale_and_cover_the_past_year() {
    let account = Account {
        sales_max: 50,
        scale: 4,
        ..Account::gbp()
    };
    let sim = sim_with(Options {
        accounts: vec![account],
        ..Options::for_testing()
    })
    .await;
    let rows = sim.all("saleList", "SaleList").await;
    let numbers: BTreeSet<String> = rows.iter().map(|row| text(row, "OrderNumber")).collect();
    assert_eq!((rows.len(), numbers.len()), (200, 200));
    let yesterday = sim.cin7.clock().today().yesterday().unwrap();
    assert_eq!(text(&rows[0], "OrderDate"), format!("{yesterday}T00:00:00"));
}

#[tokio::test]
async fn no_document_is_stamped_in_the_future() {
    let sim = sim().await;
    let now = sim.cin7.clock().now();
    for row in sim.all("saleList", "SaleList").await {
        assert!(text(&row, "Updated").parse::<jiff::Timestamp>().unwrap() < now);
    }
}
