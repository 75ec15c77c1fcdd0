//! What a record says about itself that freshness rules ask for: closed or not, when last changed, when due.

mod stamp;

use std::sync::Arc;

use cel::common::types::{CelBool, CelDouble, CelNull, CelString, CelTimestamp};
use cel::common::value::{CowVal, Val};
use jiff::Timestamp;
use serde_json::Value;

/// One value that rules can ask for.
#[derive(Clone, Debug, PartialEq)]
pub enum Signal {
    /// True or false.
    Flag(bool),
    /// A number.
    Number(f64),
    /// A text that is no time.
    Text(String),
    /// A moment. Rules see whole milliseconds, cut off towards the past.
    Time(Timestamp),
}

/// Which signals a resource has, and where in its record each stands. Made once, used for every record.
#[derive(Clone, Debug, Default)]
pub struct SignalMap {
    names: Arc<[String]>,
    paths: Arc<[Vec<String>]>,
}

impl SignalMap {
    /// From pairs of a signal's name and the keys that lead to it, outermost first.
    pub fn new(pairs: impl IntoIterator<Item = (String, Vec<String>)>) -> SignalMap {
        let (names, paths): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        SignalMap {
            names: names.into(),
            paths: paths.into(),
        }
    }

    /// The names of the signals, in the order given.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Reads the signals of a record.
    ///
    /// A boolean is a flag; a text that is an ISO 8601 date or time is a time, in any zone (UTC if it names none, midnight
    /// if it is a date); any other text is a text. What is missing, null, empty or blank, an object or a list is absent.
    pub fn read(&self, body: &Value) -> Signals {
        Signals {
            names: Arc::clone(&self.names),
            values: self.paths.iter().map(|path| read(body, path)).collect(),
        }
    }
}

/// The signals of one record.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    names: Arc<[String]>,
    values: Vec<Slot>,
}

impl Signals {
    /// Signals that do not come out of a record's body.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, Signal)>) -> Signals {
        let mut signals = Signals::default();
        for (name, signal) in pairs {
            signals.set(name, Some(signal));
        }
        signals
    }

    /// Sets a signal, or makes it absent: for what is looked up elsewhere, as a flag of the record's status.
    pub fn set(&mut self, name: &str, signal: Option<Signal>) {
        let slot = signal.map_or(Slot::Absent(CelNull), Slot::from);
        if let Some(position) = self.names.iter().position(|known| known == name) {
            self.values[position] = slot;
        } else {
            let mut names = self.names.to_vec();
            names.push(name.to_owned());
            self.names = names.into();
            self.values.push(slot);
        }
    }

    /// A signal's value; `None` when it is absent or has never been named.
    pub fn get(&self, name: &str) -> Option<Signal> {
        let position = self.names.iter().position(|known| known == name)?;
        self.values[position].signal()
    }

    /// The value as rules see it.
    pub(crate) fn find(&self, name: &str) -> Option<&dyn Val> {
        let position = self.names.iter().position(|known| known == name)?;
        Some(self.values[position].as_val())
    }
}

/// A time as rules see it: whole milliseconds, so that bounds are exact to the millisecond.
pub(crate) fn rule_time(time: Timestamp) -> CelTimestamp {
    // Rounds towards the past, also before 1970.
    let millis = time.as_nanosecond().div_euclid(1_000_000);
    let millis = i64::try_from(millis).unwrap_or(i64::MAX);
    CelTimestamp::from(
        chrono::DateTime::from_timestamp_millis(millis)
            .unwrap_or_default()
            .fixed_offset(),
    )
}

/// Absent, to the rules.
pub(crate) fn absent<'b, 'v>() -> CowVal<'b, 'v> {
    CowVal::Borrowed(&CelNull)
}

/// A value, kept in the form in which the rules read it, so that reading copies nothing.
#[derive(Clone, Debug)]
enum Slot {
    Absent(CelNull),
    Flag(CelBool),
    Number(CelDouble),
    Text(CelString<'static>),
    Time(CelTimestamp, Timestamp),
}

impl Slot {
    fn as_val(&self) -> &dyn Val {
        match self {
            Slot::Absent(value) => value,
            Slot::Flag(value) => value,
            Slot::Number(value) => value,
            Slot::Text(value) => value,
            Slot::Time(value, _) => value,
        }
    }

    fn signal(&self) -> Option<Signal> {
        Some(match self {
            Slot::Absent(_) => return None,
            Slot::Flag(value) => Signal::Flag(*value.inner()),
            Slot::Number(value) => Signal::Number(*value.inner()),
            Slot::Text(value) => Signal::Text(value.inner().to_owned()),
            Slot::Time(_, time) => Signal::Time(*time),
        })
    }
}

impl From<Signal> for Slot {
    fn from(signal: Signal) -> Slot {
        match signal {
            Signal::Flag(flag) => Slot::Flag(CelBool::from(flag)),
            Signal::Number(number) => Slot::Number(CelDouble::from(number)),
            Signal::Text(text) => Slot::Text(CelString::from(text)),
            Signal::Time(time) => Slot::Time(rule_time(time), time),
        }
    }
}

fn read(body: &Value, path: &[String]) -> Slot {
    let mut value = body;
    for key in path {
        match value.get(key) {
            Some(inner) => value = inner,
            None => return Slot::Absent(CelNull),
        }
    }
    match value {
        Value::Bool(flag) => Slot::from(Signal::Flag(*flag)),
        Value::Number(number) => number.as_f64().map_or(Slot::Absent(CelNull), |number| {
            Slot::from(Signal::Number(number))
        }),
        Value::String(text) if text.trim().is_empty() => Slot::Absent(CelNull),
        Value::String(text) => Slot::from(match stamp::parse(text) {
            Some(time) => Signal::Time(time),
            None => Signal::Text(text.clone()),
        }),
        Value::Null | Value::Object(_) | Value::Array(_) => Slot::Absent(CelNull),
    }
}

#[cfg(test)]
mod tests;
