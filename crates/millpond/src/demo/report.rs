//! The table at the end: what integrators complain about, without the mirror and with it.

use serde::Serialize;

use super::{
    CALLS_PER_MINUTE, Desk,
    measure::{Latency, Limits, Redundancy},
    question::{Asked, Question},
};
use crate::output::{Table, grouped};

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What was asked.
    pub question: Question,
    /// What it took.
    pub asked: Asked,
    /// How long the mirror took to answer, in milliseconds.
    pub answer_ms: f64,
    /// Minutes that the naive way takes at the limit of one key.
    pub naive_minutes: f64,
    /// Reads per minute.
    pub limits: Limits,
    /// The same reads again.
    pub redundancy: Redundancy,
    /// Reads in a row.
    pub latency: Latency,
    /// Deals with all that belongs to them.
    pub desk: Desk,
    /// One line for each complaint.
    pub lines: Vec<Comparison>,
}

/// One complaint.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// What integrators complain about.
    pub complaint: &'static str,
    /// What was measured.
    pub measured: String,
    /// Without the mirror.
    pub before: String,
    /// With it.
    pub after: String,
    /// Whether the measured numbers say that it got better.
    pub improved: bool,
}

impl Report {
    pub(super) fn new(
        question: Question,
        asked: Asked,
        limits: Limits,
        redundancy: Redundancy,
        latency: Latency,
        desk: Desk,
    ) -> Self {
        let naive_minutes = asked.naive_calls() as f64 / f64::from(CALLS_PER_MINUTE);
        let answer_ms = asked.took.as_secs_f64() * 1000.0;
        let lines = vec![
            Comparison {
                complaint: "limits",
                measured: "orders read per minute, one key".to_owned(),
                before: format!("{}", limits.naive_max_in_window),
                after: format!(
                    "{}, {} calls",
                    grouped(limits.mirror_per_minute as i64),
                    limits.mirror_calls
                ),
                improved: limits.mirror_per_minute > limits.naive_per_minute
                    && limits.mirror_calls == 0,
            },
            Comparison {
                complaint: "redundancy",
                measured: format!(
                    "calls for {} reads of 40 orders by 5 integrations",
                    redundancy.reads
                ),
                before: format!("{} calls", redundancy.naive_calls),
                after: format!("{} calls", redundancy.mirror_calls),
                improved: redundancy.mirror_calls < redundancy.naive_calls,
            },
            Comparison {
                complaint: "latency",
                measured: format!("a workflow of {} reads", latency.reads),
                before: format!("{:.0} ms", latency.naive_ms),
                after: format!("{:.0} ms", latency.mirror_ms),
                improved: latency.mirror_ms < latency.naive_ms,
            },
            Comparison {
                complaint: "expressiveness",
                measured: "orders by SKU, location, customer".to_owned(),
                before: format!(
                    "{} calls, {naive_minutes:.0} min",
                    grouped(asked.naive_calls() as i64)
                ),
                after: format!("{} calls, {answer_ms:.1} ms", asked.mirror_calls),
                improved: asked.agrees
                    && asked.mirror_calls < asked.naive_calls()
                    && answer_ms < naive_minutes * 60_000.0,
            },
            Comparison {
                complaint: "scatter",
                measured: "a deal with notes, contacts, activities, company".to_owned(),
                before: format!("{:.0} calls, {:.0} ms", desk.api_calls, desk.api_ms),
                after: format!("{:.0} calls, {:.1} ms", desk.hot_calls, desk.hot_ms),
                improved: desk.hot_calls < desk.api_calls && desk.hot_ms < desk.api_ms,
            },
        ];
        Self {
            question,
            asked,
            answer_ms,
            naive_minutes,
            limits,
            redundancy,
            latency,
            desk,
            lines,
        }
    }

    /// Whether every complaint got better.
    pub fn improved(&self) -> bool {
        self.lines.iter().all(|line| line.improved)
    }

    /// The question and its answer, both ways.
    pub fn answer(&self) -> String {
        let (question, asked) = (&self.question, &self.asked);
        let thrifty = asked.list_calls + asked.orders_of_customer;
        format!(
            "Orders since {} with SKU {}, from {}, to {} ({}):\n\
             \x20 from the mirror   {} orders in {:.1} ms, {} upstream calls\n\
             \x20 through the API   {} pages of the list + {} orders = {} calls = {:.0} minutes at {CALLS_PER_MINUTE} a minute\n\
             \x20                   ({} orders really fetched: {} calls counted by the service; {}; an integration that\n\
             \x20                   filters the list by customer first still needs {} calls)\n",
            question.since,
            question.sku,
            question.location,
            question.customer,
            question.instance,
            asked.ids.len(),
            self.answer_ms,
            asked.mirror_calls,
            asked.list_calls,
            grouped(asked.orders as i64),
            grouped(asked.naive_calls() as i64),
            self.naive_minutes,
            asked.sample.len(),
            asked.sample_calls,
            if asked.agrees {
                "same answer"
            } else {
                "ANOTHER ANSWER"
            },
            thrifty,
        )
    }

    /// The lines.
    pub fn table(&self) -> String {
        let mut table = Table::new(["complaint", "measured", "without", "with Millpond", ""]);
        for line in &self.lines {
            table.row([
                line.complaint.to_owned(),
                line.measured.clone(),
                line.before.clone(),
                line.after.clone(),
                if line.improved {
                    "better"
                } else {
                    "NOT BETTER"
                }
                .to_owned(),
            ]);
        }
        table.to_string()
    }
}
