//! Asking upstream how a step stands, and writing one: every answer is sorted into what the next move can be.

use std::time::Duration;

use mirror::{Mirror, MirrorError};
use serde_json::{Value, json};
use upstream::{Call, CallError, Class};

use super::{
    OrdersError,
    bodies::Setting,
    cin7::{Assembly, Fulfilment, Purchase, Sale},
    documents::{ShipmentDoc, Step},
    read::resource,
};

/// Applying is background work: people who read go first.
const CLASS: Class = Class::Sweep;

/// Purchases that are read to find one that may have been entered.
const PURCHASES_MAX: usize = 50;

/// One write waits for its permit so long at the most; then the plan is put down and taken up later.
const PERMIT_WAIT_MAX: Duration = Duration::from_secs(60);

/// How a step stands upstream.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Look {
    /// Its effect is there.
    Done(Value),
    /// It is certainly not there.
    Absent,
    /// Something else is there: a person must look.
    Other(String),
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Sent {
    /// Upstream took it; the body it answered.
    Taken(Value),
    /// Upstream said no.
    Refused(String),
    /// It may or may not have arrived.
    Unknown(String),
    /// It was certainly not sent; try again after the wait, if one is known.
    Held(String, Option<Duration>),
}

/// The door to one instance.
pub(crate) struct Door<'a> {
    pub mirror: &'a Mirror,
    pub instance: &'a str,
}

impl Door<'_> {
    /// The sale as it is now, parsed and raw; `None` when there is none.
    pub async fn sale(&self, id: &str) -> Result<Option<(Sale, Value)>, OrdersError> {
        let body = self
            .mirror
            .fetch(&resource("sale")?, self.instance, id, CLASS)
            .await?;
        let Some(body) = body else { return Ok(None) };
        let unreadable = |_| OrdersError::Unreadable {
            what: "sale",
            id: id.to_owned(),
        };
        let raw: Value = serde_json::from_slice(&body).map_err(unreadable)?;
        let sale = serde_json::from_slice(&body).map_err(unreadable)?;
        Ok(Some((sale, raw)))
    }

    /// Availability rows that pass a filter, by record id.
    pub async fn availability(
        &self,
        name: &str,
        value: &str,
    ) -> Result<Vec<(String, super::cin7::Availability)>, OrdersError> {
        let rows = self
            .mirror
            .fetch_rows(
                &resource("availability")?,
                self.instance,
                &[(name, value)],
                CLASS,
            )
            .await?;
        let parsed = rows
            .into_iter()
            .filter_map(|(id, body)| Some((id, serde_json::from_slice(&body).ok()?)));
        Ok(parsed.collect())
    }

    /// Whether a location takes part in business, by its id.
    pub async fn is_open(&self, id: &str) -> Result<bool, OrdersError> {
        let body = self
            .mirror
            .fetch(&resource("location")?, self.instance, id, CLASS)
            .await?;
        let location =
            body.and_then(|body| serde_json::from_slice::<super::cin7::Location>(&body).ok());
        Ok(location.is_some_and(|location| super::read::is_usable(&location)))
    }

    /// Writes once. Repeats are for whoever has looked in between.
    pub async fn write(&self, work: &Value) -> Result<Sent, OrdersError> {
        let path = work["path"].as_str().unwrap_or_default();
        let method = work["method"]
            .as_str()
            .and_then(|name| name.parse().ok())
            .unwrap_or(http::Method::POST);
        let mut call = Call::new(method, path, CLASS);
        if let Some(query) = work["query"].as_object() {
            let text = |value: &Value| {
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned)
            };
            call.query = query
                .iter()
                .map(|(name, value)| (name.clone(), text(value)))
                .collect();
        }
        if !work["body"].is_null() {
            call.body = Some(work["body"].to_string().into());
        }
        call.resource = Some("orders".to_owned());
        call.attempts = Some(1);
        call.wait_max = Some(PERMIT_WAIT_MAX);
        match self.mirror.call(self.instance, call).await {
            Ok(answer) if !answer.partial.is_empty() => {
                Ok(Sent::Refused(answer.partial.join("; ")))
            }
            Ok(answer) => Ok(Sent::Taken(
                serde_json::from_slice(&answer.body).unwrap_or_default(),
            )),
            Err(MirrorError::Upstream { source, .. }) => Ok(sorted(&source)),
            Err(other) => Err(other.into()),
        }
    }

    async fn read(&self, path: &str, query: &[(&str, &str)]) -> Result<Option<Value>, OrdersError> {
        let mut call = Call::get(path, CLASS);
        call.query = query
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        call.resource = Some("orders".to_owned());
        call.wait_max = Some(PERMIT_WAIT_MAX);
        match self.mirror.call(self.instance, call).await {
            Ok(answer) => Ok(serde_json::from_slice(&answer.body).ok()),
            Err(MirrorError::Upstream {
                source: CallError::Missing { .. },
                ..
            }) => Ok(None),
            Err(other) => Err(other.into()),
        }
    }

    /// Assemblies that pass a filter of their list.
    pub async fn assemblies(&self, name: &str, value: &str) -> Result<Vec<Assembly>, OrdersError> {
        let answer = self
            .read("finishedGoodsList", &[(name, value), ("Limit", "1000")])
            .await?;
        let rows = answer.map(|mut answer| answer["FinishedGoods"].take());
        Ok(rows
            .and_then(|rows| serde_json::from_value(rows).ok())
            .unwrap_or_default())
    }

    /// One assembly.
    pub async fn assembly(&self, task: &str) -> Result<Option<Assembly>, OrdersError> {
        let answer = self.read("finishedGoods", &[("TaskID", task)]).await?;
        Ok(answer.and_then(|answer| serde_json::from_value(answer).ok()))
    }

    /// A purchase as it is now; the mirror knows it too then.
    pub async fn purchase(&self, id: &str) -> Result<Option<Purchase>, OrdersError> {
        let body = self
            .mirror
            .fetch(&resource("purchase")?, self.instance, id, CLASS)
            .await?;
        Ok(body.and_then(|body| serde_json::from_slice(&body).ok()))
    }

    async fn look_for_sale(&self, mark: &str) -> Result<Look, OrdersError> {
        let answer = self.read("saleList", &[("ExternalID", mark)]).await?;
        let rows = answer.unwrap_or_default()["SaleList"].take();
        let ours = rows
            .as_array()
            .into_iter()
            .flatten()
            .find(|row| row["Status"] != "VOIDED" && row["OrderStatus"] != "VOIDED");
        Ok(match ours.and_then(|row| row["SaleID"].as_str()) {
            Some(id) => Look::Done(json!({ "TaskID": id })),
            None => Look::Absent,
        })
    }

    /// The list of purchases shows no notes: those of the supplier that moved since are read one by one.
    async fn look_for_purchase(
        &self,
        setting: &Setting<'_>,
        mark: &str,
    ) -> Result<Look, OrdersError> {
        let Some(cross) = &setting.doc.cross else {
            return Ok(Look::Absent);
        };
        let since = setting.since();
        let query = [("UpdatedSince", since.as_str()), ("Limit", "1000")];
        let answer = self.read("purchaseList", &query).await?;
        let rows = answer.unwrap_or_default()["PurchaseList"].take();
        let rows = rows.as_array().cloned().unwrap_or_default();
        let theirs = rows.iter().filter(|row| {
            let supplier = row["Supplier"].as_str().unwrap_or_default();
            supplier.eq_ignore_ascii_case(&cross.supplier) && row["Status"] != "VOIDED"
        });
        let ids: Vec<&str> = theirs.filter_map(|row| row["ID"].as_str()).collect();
        if ids.len() > PURCHASES_MAX {
            let text = format!(
                "{} purchases from {} moved since",
                ids.len(),
                cross.supplier
            );
            return Ok(Look::Other(text));
        }
        for id in ids {
            let found = self.purchase(id).await?;
            if found.is_some_and(|found| found.note.contains(mark) && found.status != "VOIDED") {
                return Ok(Look::Done(json!({ "TaskID": id })));
            }
        }
        Ok(Look::Absent)
    }

    /// How the document stands that a step made; `None`: it is not there.
    pub async fn status(&self, step: Step, id: &str) -> Result<Option<String>, OrdersError> {
        Ok(match step {
            Step::Sell => self.sale(id).await?.map(|(sale, _)| sale.status),
            Step::Buy => self.purchase(id).await?.map(|found| found.status),
            _ => self.assembly(id).await?.map(|found| found.status),
        })
    }

    /// How a step stands. `task` is what the step was written to; `mark` is what its document carries.
    pub async fn look(
        &self,
        setting: &Setting<'_>,
        step: Step,
        task: &str,
        mark: &str,
    ) -> Result<Look, OrdersError> {
        match step {
            Step::Sell => return self.look_for_sale(mark).await,
            Step::Buy => return self.look_for_purchase(setting, mark).await,
            Step::BuyOrder => {
                let found = self.purchase(task).await?;
                return Ok(match found.map(|found| found.order.status).as_deref() {
                    Some("AUTHORISED") => Look::Done(json!({})),
                    Some("" | "DRAFT" | "NOT AVAILABLE") => Look::Absent,
                    Some(other) => Look::Other(format!("the purchase's order is {other}")),
                    None => Look::Other("the purchase is gone".to_owned()),
                });
            }
            Step::Assemble(nth) => {
                let kit = &setting.effective.kits[nth];
                let found = self.assemblies("Search", mark).await?;
                let ours = found
                    .into_iter()
                    .find(|row| row.notes.contains(mark) && row.status != "VOIDED");
                return Ok(match ours {
                    Some(row) if !row.product.eq_ignore_ascii_case(&kit.product) => {
                        Look::Other(format!(
                            "assembly {} carries our mark and makes something else",
                            row.task
                        ))
                    }
                    Some(row) if row.status == "DRAFT" => {
                        Look::Other(format!("assembly {} was made without its bill", row.task))
                    }
                    Some(row) => Look::Done(json!({ "TaskID": row.task })),
                    None => Look::Absent,
                });
            }
            Step::Complete(_) => {
                let found = self.assembly(task).await?;
                return Ok(match found.map(|found| found.status) {
                    Some(status) if status == "COMPLETED" => Look::Done(json!({})),
                    Some(status) if status == "VOIDED" => {
                        Look::Other("the assembly was voided".to_owned())
                    }
                    Some(_) => Look::Absent,
                    None => Look::Other("the assembly is gone".to_owned()),
                });
            }
            _ => {}
        }
        let Some((sale, _)) = self.sale(&setting.doc.sale).await? else {
            return Ok(Look::Other("the sale is gone".to_owned()));
        };
        Ok(look_at(setting, step, task, mark, &sale))
    }
}

/// How a step of a sale stands, from the sale itself.
pub(crate) fn look_at(
    setting: &Setting<'_>,
    step: Step,
    task: &str,
    mark: &str,
    sale: &Sale,
) -> Look {
    if sale.status == "VOIDED" {
        return Look::Other("the sale was voided".to_owned());
    }
    let mine = sale.live().find(|f| f.task.eq_ignore_ascii_case(task));
    match (step, mine) {
        (Step::Authorise | Step::SellOrder, _) => match sale.order.status.as_str() {
            "AUTHORISED" => Look::Done(json!({})),
            "DRAFT" | "NOT AVAILABLE" => Look::Absent,
            other => Look::Other(format!("the order is {other}")),
        },
        (Step::Task, _) => match open_task(sale) {
            Some(found) => Look::Done(task_of(found)),
            None => Look::Absent,
        },
        (Step::Invoice, _) => {
            let ours = sale
                .invoices
                .iter()
                .find(|invoice| invoice.memo.contains(mark));
            match ours.map(|invoice| (invoice.status.as_str(), &invoice.number)) {
                Some(("AUTHORISED" | "PAID", number)) => {
                    Look::Done(json!({ "InvoiceNumber": number }))
                }
                Some(("DRAFT" | "NOT AVAILABLE", _)) | None => Look::Absent,
                Some((other, number)) => Look::Other(format!("invoice {number} is {other}")),
            }
        }
        (_, None) => Look::Other("the fulfilment is gone".to_owned()),
        (Step::Pick, Some(mine)) => match &mine.pick {
            pick if pick.is_open() => Look::Absent,
            pick if pick.is_authorised() && setting.is_picked(&pick.lines) => Look::Done(json!({})),
            pick => Look::Other(format!("the pick is {} with other lines", pick.status)),
        },
        (Step::Pack, Some(mine)) => stage(&mine.pack, "pack"),
        (_, Some(mine)) => stage(&mine.ship, "shipment"),
    }
}

fn stage(stage: &super::cin7::Stage, what: &str) -> Look {
    match () {
        () if stage.is_authorised() => Look::Done(json!({})),
        () if stage.is_open() => Look::Absent,
        () => Look::Other(format!("the {what} is {}", stage.status)),
    }
}

/// A fulfilment whose pick nobody has authorised: upstream lets a sale have one of them at the most.
pub(crate) fn open_task(sale: &Sale) -> Option<&Fulfilment> {
    sale.live().find(|f| f.pick.is_open())
}

/// What later steps need of a fulfilment.
pub(crate) fn task_of(fulfilment: &Fulfilment) -> Value {
    json!({ "TaskID": fulfilment.task, "Number": fulfilment.number })
}

/// The write of a step.
pub(crate) fn work(path: &str, body: Value) -> Value {
    json!({ "method": "POST", "path": path, "body": body })
}

/// Where a step is written to.
pub(crate) fn path_of(step: Step) -> &'static str {
    match step {
        Step::Sell => "sale",
        Step::Authorise | Step::SellOrder => "sale/order",
        Step::Buy => "purchase",
        Step::BuyOrder => "purchase/order",
        Step::Task => "sale/fulfilment",
        Step::Assemble(_) => "finishedGoods",
        Step::Complete(_) => "finishedGoods/pick",
        Step::Pick => "sale/fulfilment/pick",
        Step::Pack => "sale/fulfilment/pack",
        Step::Ship => "sale/fulfilment/ship",
        Step::Invoice => "sale/invoice",
    }
}

/// The mark of a write: the same for the same step of the same plan, and told apart from every other database's.
pub(crate) fn mark(
    instance: &str,
    doc: &ShipmentDoc,
    plan: i64,
    made_at: &str,
    step: &str,
) -> String {
    let text = format!(
        "{instance}\n{}\n{plan}\n{made_at}\n{}\n{step}",
        // A sale that is still to be entered has no id to be told by.
        if doc.cross.is_some() {
            &doc.order
        } else {
            &doc.sale
        },
        doc.number
    );
    format!("mp-{:032x}", xxhash_rust::xxh3::xxh3_128(text.as_bytes()))
}

fn sorted(error: &CallError) -> Sent {
    let said = crate::cli::chain_of(error);
    match error {
        CallError::Rejected { .. } | CallError::Missing { .. } => Sent::Refused(said),
        CallError::NoPermit { .. } | CallError::Throttled { .. } | CallError::GaveUp { .. } => {
            Sent::Held(said, error.retry_after())
        }
        CallError::Certificate { .. }
        | CallError::Impossible { .. }
        | CallError::Refused { .. } => Sent::Held(said, None),
        _ => Sent::Unknown(said),
    }
}
