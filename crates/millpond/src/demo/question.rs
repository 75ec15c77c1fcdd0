//! The question that the API cannot answer: orders of the past 12 months with this SKU, from this location, to this
//! customer.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;
use store::{
    ResourceName,
    read::{Comparison, Criterion, Search},
};

use super::{naive::Integration, stage::Stage};

/// Orders that the naive run really fetches; the rest is counted.
const SAMPLE: usize = 300;

/// What is asked.
#[derive(Debug, Clone, Serialize)]
pub struct Question {
    /// Of which company.
    pub instance: String,
    /// With this SKU.
    pub sku: String,
    /// From this location.
    pub location: String,
    /// To this customer.
    pub customer_id: String,
    /// The customer's name.
    pub customer: String,
    /// Since this day.
    pub since: String,
}

/// What it took, both ways.
#[derive(Debug, Clone, Serialize)]
pub struct Asked {
    /// The orders found.
    pub ids: Vec<String>,
    /// How long the mirror took.
    #[serde(skip)]
    pub took: Duration,
    /// Calls that the service counted meanwhile.
    pub mirror_calls: usize,
    /// Pages of the list of orders, as counted by the service.
    pub list_calls: usize,
    /// Orders of those 12 months: one call each.
    pub orders: usize,
    /// Of these, orders of that customer: all that a thrifty integration must fetch.
    pub orders_of_customer: usize,
    /// Calls that the sample took, as counted by the service.
    pub sample_calls: usize,
    /// Orders of the sample that the naive run found to match.
    pub sample_ids: Vec<String>,
    /// Whether the mirror's answer says the same of the sample.
    pub agrees: bool,
    /// The sampled orders.
    #[serde(skip)]
    pub sample: Vec<String>,
}

impl Asked {
    /// Calls that the naive way needs in all.
    pub fn naive_calls(&self) -> usize {
        self.list_calls + self.orders
    }
}

impl Question {
    /// The question with most answers, of a customer with a name.
    pub(super) async fn choose(stage: &Stage) -> anyhow::Result<Self> {
        let row = stage
            .row(
                "SELECT instance, line ->> 'SKU', location, customer_id, customer, since::text \
                 FROM (SELECT instance, id, body ->> 'Location' AS location, body ->> 'CustomerID' AS customer_id, \
                         body ->> 'Customer' AS customer, body #> '{Order,Lines}' AS lines, since \
                       FROM cin7.sale, (SELECT (current_date - interval '12 months')::date AS since) day \
                       WHERE body ->> 'SaleOrderDate' >= since::text AND body ->> 'Customer' !~* 'walk-in' \
                         AND jsonb_typeof(body #> '{Order,Lines}') = 'array' OFFSET 0) sale, \
                      jsonb_array_elements(lines) line \
                 WHERE location IS NOT NULL \
                 GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY count(DISTINCT id) DESC, 1, 2, 4 LIMIT 1",
            )
            .await?;
        let text = |n: usize| {
            row.get(n)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        Ok(Self {
            instance: text(0),
            sku: text(1),
            location: text(2),
            customer_id: text(3),
            customer: text(4),
            since: text(5),
        })
    }

    /// The question as people type it.
    pub fn criteria(&self) -> anyhow::Result<Vec<Criterion>> {
        Ok(vec![
            Criterion::new("CustomerID", Comparison::Equal, &self.customer_id)?,
            Criterion::new("Location", Comparison::Equal, &self.location)?,
            Criterion::new("Order.Lines[].SKU", Comparison::Equal, &self.sku)?,
            Criterion::new("SaleOrderDate", Comparison::AtLeast, &self.since)?,
        ])
    }

    /// Whether an order matches: what an integration must write itself.
    fn matches(&self, order: &Value) -> bool {
        let is = |key: &str, value: &str| order[key].as_str() == Some(value);
        let lines = order["Order"]["Lines"].as_array();
        is("Location", &self.location)
            && is("CustomerID", &self.customer_id)
            && order["SaleOrderDate"]
                .as_str()
                .is_some_and(|date| date >= self.since.as_str())
            && lines.is_some_and(|lines| lines.iter().any(|line| line["SKU"] == self.sku.as_str()))
    }
}

/// Asks the mirror, then the API.
pub(super) async fn ask(stage: &Stage, question: &Question) -> anyhow::Result<Asked> {
    let resource: ResourceName = "cin7.sale".parse()?;
    let feed: ResourceName = "cin7.sale_header".parse()?;
    let search = Search {
        instances: vec![question.instance.clone()],
        criteria: question.criteria()?,
        limit: 1000,
        ..Search::all(resource)
    };
    let (calls, began) = (stage.calls(), Instant::now());
    let page = stage.database.store.search(&search, &feed).await?;
    let took = began.elapsed();
    let mirror_calls = stage.calls() - calls;
    let ids: BTreeSet<String> = page
        .records
        .into_iter()
        .map(|record| record.id.clone())
        .collect();

    let account = stage.account(&question.instance);
    let naive = Integration::new(&stage.sim, account, true)?;
    let before = naive.calls(&stage.sim);
    let rows = naive.list_orders().await?;
    let list_calls = naive.calls(&stage.sim) - before;
    let (mut orders, mut of_customer) = (Vec::new(), Vec::new());
    for row in rows {
        let id = row.id.context("a row of the list has no id")?;
        let header: Value = serde_json::from_slice(&row.body)?;
        if header["OrderDate"]
            .as_str()
            .is_some_and(|date| date >= question.since.as_str())
        {
            if header["CustomerID"].as_str() == Some(&question.customer_id) {
                of_customer.push(id.clone());
            }
            orders.push(id);
        }
    }
    // The customer's own orders, so that there is something to find, and others evenly over the year.
    let stride = (orders.len() / SAMPLE).max(1);
    let mut sample: Vec<String> = of_customer.iter().take(SAMPLE / 2).cloned().collect();
    let others = orders
        .iter()
        .step_by(stride)
        .filter(|id| !of_customer.contains(id));
    sample.extend(others.take(SAMPLE - sample.len()).cloned());
    let before = naive.calls(&stage.sim);
    let mut sample_ids = BTreeSet::new();
    for id in &sample {
        if question.matches(&naive.load_order(id).await?) {
            sample_ids.insert(id.clone());
        }
    }
    let sample_calls = naive.calls(&stage.sim) - before;
    let of_sample: BTreeSet<String> = ids
        .iter()
        .filter(|id| sample.contains(id))
        .cloned()
        .collect();
    Ok(Asked {
        agrees: of_sample == sample_ids,
        ids: ids.into_iter().collect(),
        took,
        mirror_calls,
        list_calls,
        orders: orders.len(),
        orders_of_customer: of_customer.len(),
        sample_calls,
        sample_ids: sample_ids.into_iter().collect(),
        sample,
    })
}
