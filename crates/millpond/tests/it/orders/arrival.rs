//! Stock arrives, drafts are authorised, and what cannot be planned is said.

use millpond::{
    config::{FillMode, OrdersConfig},
    orders::{OrdersError, PlanAsk, Through},
};
use serde_json::json;

use super::shop::{INSTANCE, Shop, everything};

#[tokio::test(flavor = "multi_thread")]
async fn a46_a_receipt_for_a_short_sku_is_picked_for_the_oldest_within_one_cycle() {
    let shop = Shop::with_sales(20).await;
    let sku = &shop.plain_skus(1)[0];
    shop.empty(sku).await;
    let (first, _) = shop.sale("Glasgow", &[(sku, 4)]).await;
    let (second, number) = shop.sale("Glasgow", &[(sku, 4)]).await;
    shop.sync().await;
    let config = OrdersConfig {
        fill: FillMode::Apply,
        ..OrdersConfig::default()
    };
    // Whatever else can leave, leaves first.
    shop.orders.fill_arrived(&config, "test").await.unwrap();
    assert!(
        shop.truth("sale", &first)["Fulfilments"]
            .as_array()
            .unwrap()
            .is_empty()
    );

    shop.stock(sku, "Glasgow", 6).await;
    shop.sync().await;
    let made = shop.orders.fill_arrived(&config, "test").await.unwrap();
    assert_eq!(made.len(), 1);
    let pick = |sale: &str| shop.truth("sale", sale)["Fulfilments"][0]["Pick"].clone();
    assert_eq!(
        (
            &pick(&first)["Status"],
            pick(&first)["Lines"][0]["Quantity"].as_f64()
        ),
        (&json!("AUTHORISED"), Some(4.0))
    );
    assert_eq!(pick(&second)["Lines"][0]["Quantity"].as_f64(), Some(2.0));
    let plan = shop.orders.show(made[0]).await.unwrap();
    let left = plan
        .short
        .iter()
        .find(|short| short.order == number)
        .unwrap();
    assert_eq!(left.qty, 2, "leftovers stay on backorder: {left:?}");

    shop.sync().await;
    assert!(
        shop.orders
            .fill_arrived(&config, "test")
            .await
            .unwrap()
            .is_empty(),
        "nothing arrived, nothing is planned"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a51_a_draft_is_authorised_picked_packed_shipped_and_invoiced_in_this_order() {
    let shop = Shop::with_sales(20).await;
    let sku = &shop.plain_skus(1)[0];
    shop.stock(sku, "Glasgow", 9).await;
    let draft = shop.draft("Glasgow", &[(sku, 5)]).await;
    shop.sync().await;
    let number = shop.truth("sale", &draft)["Order"]["SaleOrderNumber"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut ask = PlanAsk {
        drafts: true,
        ..everything()
    };
    ask.orders.insert(number);
    let plan = shop.plan(&ask).await;
    shop.sim.wiretap().clear();
    let applied = shop.approve_and_apply(plan.row.id).await;
    assert_eq!(applied.row.state, "done", "{:#?}", applied.shipments);
    let expected = [
        "sale/order",
        "sale/fulfilment",
        "sale/fulfilment/pick",
        "sale/fulfilment/pack",
        "sale/fulfilment/ship",
        "sale/invoice",
    ];
    assert_eq!(shop.writes(), expected.map(|path| format!("POST {path}")));
    assert_eq!(shop.on_hand(sku, "Glasgow"), 4.0);
    assert_eq!(
        shop.truth("sale", &draft)["Invoices"][0]["Status"],
        "AUTHORISED"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_have_an_order_of_their_own() {
    let shop = Shop::with_sales(20).await;
    let plan = shop.plan(&PlanAsk::of(INSTANCE)).await;
    let id = plan.row.id;
    assert!(
        matches!(
            shop.orders.apply(id, "test").await,
            Err(OrdersError::NotNow { .. })
        ),
        "nothing is written before it is approved"
    );
    let newer = shop
        .plan(&PlanAsk {
            through: Through::Pack,
            ..PlanAsk::of(INSTANCE)
        })
        .await;
    assert!(
        matches!(
            shop.orders.approve(id, "anna").await,
            Err(OrdersError::NotNow { .. })
        ),
        "a newer one has its units"
    );
    shop.orders.approve(newer.row.id, "anna").await.unwrap();
    shop.orders.approve(newer.row.id, "anna").await.unwrap();
    let third = shop.plan(&PlanAsk::of(INSTANCE)).await;
    let theirs = |order: &str| {
        newer
            .shipments
            .iter()
            .any(|shipment| shipment.order == order)
    };
    assert!(
        third
            .shipments
            .iter()
            .all(|shipment| !theirs(&shipment.order)),
        "what is approved is planned by nobody else"
    );
    assert!(third.left_out.iter().any(|out| theirs(&out.order)));
    assert!(matches!(
        shop.orders.plan(&PlanAsk::of("nowhere"), "anna").await,
        Err(OrdersError::Mirror(_))
    ));
    assert!(matches!(
        shop.orders.show(77).await,
        Err(OrdersError::Store(_))
    ));
    let told = shop.orders.explain(third.row.id, "SO-0").await;
    assert!(matches!(told, Err(OrdersError::Store(_))));
}
