//! Whether two reports say the same.

use serde_json::Value;

/// Where `theirs` says other than `ours`; what only `ours` tells is no difference.
pub fn differences(ours: &Value, theirs: &Value, tolerance: f64) -> Vec<String> {
    let mut found = Vec::new();
    compare(ours, theirs, tolerance, "", &mut found);
    found
}

fn compare(ours: &Value, theirs: &Value, tolerance: f64, at: &str, found: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            for (key, theirs) in theirs {
                let ours = ours.get(key).unwrap_or(&Value::Null);
                compare(ours, theirs, tolerance, &format!("{at}.{key}"), found);
            }
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            for (n, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                compare(ours, theirs, tolerance, &format!("{at}[{n}]"), found);
            }
        }
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (
                a.as_f64().unwrap_or(f64::NAN),
                b.as_f64().unwrap_or(f64::NAN),
            );
            let is_same = (a - b).abs() <= tolerance * a.abs().max(1.0);
            if !is_same {
                found.push(format!("{at}: {a} and {b}"));
            }
        }
        _ if ours == theirs => {}
        _ => found.push(format!("{at}: {} and {}", short(ours), short(theirs))),
    }
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(80).collect()
}
