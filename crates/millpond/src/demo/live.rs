//! What a change upstream costs, and how soon the mirror has it.

use std::time::{Duration, Instant};

use serde::Serialize;
use store::ResourceName;

use super::stage::Stage;

/// Orders that are changed.
const CHANGED: usize = 10;
/// The instance they are changed in.
const INSTANCE: &str = "pond-uk";
/// How long the mirror may take.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How a change came in.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Followed {
    /// Orders that were changed upstream.
    pub changed: usize,
    /// Orders in that company.
    pub orders: i64,
    /// Seconds until the mirror had them all.
    pub secs: f64,
    /// Pages of the list that were asked for meanwhile.
    pub list_calls: usize,
    /// Orders that were fetched meanwhile.
    pub detail_calls: usize,
}

/// Changes orders upstream while a worker runs, and waits for them.
pub(super) async fn follow(stage: &Stage) -> anyhow::Result<Followed> {
    let resource: ResourceName = "cin7.sale".parse()?;
    let store = &stage.database.store;
    let account = stage.account(INSTANCE);
    let tap = stage.sim.wiretap();
    let key = &account.keys[0];
    let before = tap.calls().len();
    let ids = stage.sim.edit_sales(&account.account_id, CHANGED);
    let began = Instant::now();
    let truth: std::collections::HashMap<String, serde_json::Value> = stage
        .sim
        .truth(&account.account_id)
        .documents("sale")
        .into_iter()
        .collect();
    let mut missing: Vec<&String> = ids.iter().collect();
    while !missing.is_empty() {
        anyhow::ensure!(
            began.elapsed() < WAIT_MAX,
            "{} of {CHANGED} changed orders are not in the mirror after {WAIT_MAX:?}",
            missing.len()
        );
        tokio::time::sleep(LOOK_EVERY).await;
        let mut still = Vec::new();
        for id in missing {
            let row = store
                .find_record(&resource, INSTANCE, id, &resource)
                .await?;
            let body =
                row.and_then(|row| serde_json::from_str::<serde_json::Value>(row.body.get()).ok());
            let upstream = truth.get(id).map(|body| &body["Note"]);
            if body.as_ref().map(|body| &body["Note"]) != upstream {
                still.push(id);
            }
        }
        missing = still;
    }
    let secs = began.elapsed().as_secs_f64();
    let calls = tap.calls();
    let of = |path: &str| {
        let ours = calls.iter().skip(before).filter(|call| call.key == *key);
        ours.filter(|call| call.path.eq_ignore_ascii_case(path))
            .count()
    };
    Ok(Followed {
        changed: ids.len(),
        orders: store.live_count(&resource, INSTANCE).await?,
        secs,
        list_calls: of("saleList"),
        detail_calls: of("sale"),
    })
}
