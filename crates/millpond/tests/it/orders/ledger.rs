//! Who holds what: one unit is promised once, whoever asks.

use millpond::orders::{HoldAsk, OrdersError, PlanAsk};

use super::shop::{INSTANCE, Shop};

#[tokio::test(flavor = "multi_thread")]
async fn a48_of_many_who_claim_the_last_unit_one_wins() {
    let shop = Shop::with_sales(20).await;
    let sku = &shop.plain_skus(1)[0];
    shop.stock(sku, "Glasgow", 1).await;
    shop.sync().await;
    let node = shop.node(sku, "Glasgow").await;
    let claims = (0..24).map(|n| {
        let (orders, node) = (shop.orders.clone(), node.clone());
        tokio::spawn(async move {
            let ask = HoldAsk {
                instance: INSTANCE.to_owned(),
                order: format!("SO-{n}"),
                line: None,
                node,
                qty: "1".to_owned(),
                soft_until: None,
                reason: "the last one".to_owned(),
            };
            orders.hold(&ask, "anna").await
        })
    });
    let mut won = 0;
    for claim in claims.collect::<Vec<_>>() {
        match claim.await.unwrap() {
            Ok(_) => won += 1,
            Err(OrdersError::Hold(_)) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(won, 1);
    let held: i64 = sqlx::query_scalar("SELECT claimed FROM millpond.order_node WHERE node = $1")
        .bind(&node)
        .fetch_one(&shop.database.pool())
        .await
        .unwrap();
    assert_eq!(held, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hard_claim_is_not_planned_away_and_is_free_again_once_released() {
    let shop = Shop::with_sales(20).await;
    let sku = &shop.plain_skus(1)[0];
    shop.stock(sku, "Glasgow", 5).await;
    let draft = shop.draft("Glasgow", &[(sku, 5)]).await;
    shop.sync().await;
    let node = shop.node(sku, "Glasgow").await;
    let ask = HoldAsk {
        instance: INSTANCE.to_owned(),
        order: "SO-elsewhere".to_owned(),
        line: None,
        node,
        qty: "2".to_owned(),
        soft_until: None,
        reason: "promised on the phone".to_owned(),
    };
    let held = shop.orders.hold(&ask, "anna").await.unwrap();
    let number = shop.truth("sale", &draft)["Order"]["SaleOrderNumber"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut wave = PlanAsk {
        drafts: true,
        ..PlanAsk::of(INSTANCE)
    };
    wave.orders.insert(number);
    wave.rules.ship_from = Some(vec!["Glasgow".to_owned()]);
    let plan = shop.plan(&wave).await;
    assert_eq!(plan.shipments[0].lines[0]["qty"], 3, "{plan:#?}");
    assert_eq!(plan.short[0].qty, 2, "{:?}", plan.short);
    assert!(plan.short[0].text.contains("held hard"), "{:?}", plan.short);

    // Planned again with nothing new: nothing moves.
    let before = shop.orders.claims(INSTANCE, None).await.unwrap();
    shop.plan(&wave).await;
    let after = shop.orders.claims(INSTANCE, None).await.unwrap();
    let ids = |claims: &[store::orders::Claim]| {
        claims
            .iter()
            .map(|c| (c.id.clone(), c.qty, c.added_at))
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&before), ids(&after));

    assert!(
        shop.orders
            .release(INSTANCE, &held, "anna", "sold to somebody else")
            .await
            .unwrap()
    );
    let plan = shop.plan(&wave).await;
    assert_eq!(plan.shipments[0].lines[0]["qty"], 5);
    assert!(plan.short.is_empty());

    // Cancelled, it holds nothing any more.
    shop.orders.cancel(plan.row.id, "anna").await.unwrap();
    let left = shop.orders.claims(INSTANCE, None).await.unwrap();
    assert!(
        left.iter().all(|claim| claim.plan != Some(plan.row.id)),
        "{left:?}"
    );
    assert!(matches!(
        shop.orders.approve(plan.row.id, "anna").await,
        Err(OrdersError::NotNow { .. })
    ));
}
