//! Logs, made for a purpose.

use calls::{Options, Report, ReportError, analyze};
use serde_json::{Value, json};

/// Midnight of the day on which every test plays.
pub const DAY_MS: i64 = 1_772_409_600_000;

/// A good call that ends `at_ms` after midnight.
pub fn call(at_ms: i64, ms: u64) -> Value {
    let ended = jiff::Timestamp::from_millisecond(DAY_MS + at_ms).unwrap();
    json!({
        "timestamp": ended.to_string(), "method": "GET", "url": "/thing/1", "baseURL": "https://x.example/v2",
        "status": 200, "durationMs": ms, "error": null, "timeout": 30_000, "instance": "a", "connection": "main",
        "attempt": 1, "waitMs": 0,
    })
}

/// `call` with other values.
pub fn with(mut call: Value, changes: Value) -> Value {
    let Value::Object(changes) = changes else {
        panic!("{changes}")
    };
    call.as_object_mut().unwrap().extend(changes);
    call
}

/// The lines of a log.
pub fn text(calls: &[Value]) -> String {
    calls.iter().map(|call| format!("{call}\n")).collect()
}

pub fn report_on(log: impl AsRef<[u8]>) -> Result<Report, ReportError> {
    analyze(log.as_ref(), &Options::default())
}
