//! Plans for people: what is written, line by line, and what is not.

use std::fmt::Write as _;

use serde_json::Value;

use crate::{
    orders::{Explanation, PlanView, ShipmentView, ShortView},
    output::grouped,
};

/// Lines of one kind that are printed; the rest is counted.
const LINES_MAX: usize = 200;

/// A plan as a list of documents.
pub(super) fn plan(view: &PlanView) -> String {
    let row = &view.row;
    let mut text = format!("plan {} for {}: {}", row.id, row.instance, row.state);
    if let Some(why) = &row.why {
        let _ = write!(text, " ({why})");
    }
    text.push('\n');
    for shipment in view.shipments.iter().take(LINES_MAX) {
        text.push_str(&shipment_text(shipment));
    }
    more(&mut text, view.shipments.len(), "shipments");
    for short in view.short.iter().take(LINES_MAX) {
        text.push_str(&short_text(short));
    }
    more(&mut text, view.short.len(), "short lines");
    for out in view.left_out.iter().take(LINES_MAX) {
        let _ = writeln!(text, "  left out  {}: {}", out.order, out.text);
    }
    for one in &view.irreversible {
        let _ = writeln!(text, "  cannot be taken back: {one}");
    }
    let number = |key: &str| grouped(row.summary[key].as_i64().unwrap_or(0));
    let _ = writeln!(
        text,
        "{} of {} orders ship in {} shipments; {} writes and {} reads upstream; {}",
        number("orders_shipped"),
        number("orders_planned"),
        number("shipments"),
        number("writes"),
        number("reads"),
        view.engine,
    );
    if row.state == "proposed" {
        let _ = writeln!(
            text,
            "nothing is written yet: `millpond orders approve {0}`, then `millpond orders apply {0}`",
            row.id
        );
    }
    text
}

fn more(text: &mut String, all: usize, what: &str) {
    if all > LINES_MAX {
        let _ = writeln!(
            text,
            "  … and {} more {what}; --json has them all",
            all - LINES_MAX
        );
    }
}

fn shipment_text(shipment: &ShipmentView) -> String {
    let mut text = format!(
        "{} from {}: {}",
        shipment.order, shipment.location, shipment.state
    );
    if let Some(why) = &shipment.why {
        let _ = write!(text, " ({why})");
    }
    text.push('\n');
    for write in &shipment.writes {
        let _ = write!(text, "  + {:<10} {}", write.step, write.path);
        if let Some(instance) = &write.instance {
            let _ = write!(text, " in {instance}");
        }
        text.push('\n');
        for line in &write.lines {
            let _ = writeln!(text, "      {}", line_text(line));
        }
    }
    for step in shipment.steps.iter().filter(|step| step.state != "done") {
        let why = step.why.as_deref().unwrap_or_default();
        let _ = writeln!(
            text,
            "  ! {} is {}{}{why}",
            step.step,
            step.state.as_str().unwrap_or_default(),
            if why.is_empty() { "" } else { ": " }
        );
    }
    text
}

fn line_text(line: &Value) -> String {
    let word = |key: &str| line[key].as_str().unwrap_or_default();
    if line["assembled"] == true {
        return format!("{} as assembled", word("sku"));
    }
    let mut text = format!(
        "{} × {} from {}",
        line["qty"],
        word("sku"),
        word("location")
    );
    for key in ["bin", "batch"] {
        if !word(key).is_empty() {
            let _ = write!(text, ", {key} {}", word(key));
        }
    }
    text
}

fn short_text(short: &ShortView) -> String {
    let sku = short.sku.as_deref().unwrap_or("?");
    format!(
        "  - {} line {}: {} × {sku} short, {}\n",
        short.order, short.line, short.qty, short.text
    )
}

/// One order of a plan.
pub(super) fn explanation(told: &Explanation) -> String {
    let mut text = format!(
        "{} is number {} of {} in the sequence, class {} today; from {} on nobody entered later gets ahead of it\n",
        told.order, told.place, told.of, told.class_now, told.cannot_be_passed_after
    );
    for shipment in &told.shipments {
        text.push_str(&shipment_text(shipment));
    }
    for short in &told.short {
        text.push_str(&short_text(short));
    }
    for promise in &told.promises {
        let line = promise["line"]
            .as_str()
            .map(|line| format!(" line {line}"))
            .unwrap_or_default();
        let day = promise["date"].as_str().unwrap_or("no day in the horizon");
        let _ = writeln!(text, "  promised{line}: {day}");
    }
    for reason in &told.reasons {
        let word = |key: &str| reason[key].as_str().unwrap_or_default();
        let _ = writeln!(text, "  {}: {}", word("code"), word("text"));
    }
    text
}
