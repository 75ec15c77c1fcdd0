//! Columns of a chart, drawn as rectangles: style sheets of their own are not allowed on pages.

use serde_json::{Value, json};

/// How high the tallest column is.
pub(super) const HEIGHT: f64 = 100.0;
/// A few columns leave room beside them.
const WIDTH_MIN: usize = 12;
/// The most columns.
const COLUMNS: usize = 200;

/// Rows as columns, if they can be: the first column says what, the first of numbers after it how much.
pub(super) fn of_rows(columns: &Value, rows: &[Value]) -> Option<Value> {
    if rows.len() < 2 || rows.len() > COLUMNS {
        return None;
    }
    let name = |place: usize| columns[place]["name"].as_str();
    let number = |row: &Value, place: usize| -> Option<f64> {
        match &row[place] {
            Value::Number(number) => number.as_f64(),
            _ => None,
        }
    };
    let width = columns.as_array()?.len();
    // Nothing stands for no column; other values cannot be drawn.
    let is_drawn = |place: &usize| {
        let all = rows
            .iter()
            .all(|row| row[*place].is_null() || number(row, *place).is_some());
        all && rows.iter().any(|row| number(row, *place).is_some())
    };
    let place = (1..width).find(is_drawn)?;
    let values: Vec<f64> = rows
        .iter()
        .map(|row| number(row, place).unwrap_or_default())
        .collect();
    let top = values.iter().copied().fold(0.0, f64::max);
    let bottom = values.iter().copied().fold(0.0, f64::min);
    let scale = if top > bottom {
        HEIGHT / (top - bottom)
    } else {
        0.0
    };
    let tenth = |number: f64| (number * 10.0).round() / 10.0;
    let label = |row: &Value| match &row[0] {
        Value::String(text) => text.chars().take(60).collect(),
        Value::Null => "∅".to_owned(),
        other => other.to_string(),
    };
    let drawn: Vec<Value> = rows
        .iter()
        .zip(&values)
        .enumerate()
        .map(|(n, (row, value))| {
            json!({
                "x": n,
                "y": tenth((top - value.max(0.0)) * scale),
                "height": tenth(value.abs() * scale),
                "below": *value < 0.0,
                "label": label(row),
                "value": row[place],
            })
        })
        .collect();
    Some(json!({
        "what": name(place), "by": name(0), "columns": drawn, "width": rows.len().max(WIDTH_MIN), "height": HEIGHT,
        "first": label(&rows[0]), "last": label(&rows[rows.len() - 1]), "top": top, "bottom": bottom,
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{HEIGHT, of_rows};

    fn columns() -> Value {
        json!([{ "name": "month" }, { "name": "note" }, { "name": "total" }])
    }

    #[test]
    fn the_first_numbers_are_drawn_from_a_common_ground() {
        let rows = [
            json!(["2026-01", "a", 30]),
            json!(["2026-02", "b", null]),
            json!(["2026-03", "c", -10.0]),
        ];
        let chart = of_rows(&columns(), &rows).unwrap_or_default();
        assert_eq!(chart["what"], "total");
        assert_eq!(chart["by"], "month");
        let drawn: Vec<(f64, f64)> = chart["columns"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|c| {
                (
                    c["y"].as_f64().unwrap_or(-1.0),
                    c["height"].as_f64().unwrap_or(-1.0),
                )
            })
            .collect();
        // 40 from top to bottom: the ground is at three quarters.
        assert_eq!(drawn, [(0.0, 75.0), (75.0, 0.0), (75.0, 25.0)]);
        assert!(drawn.iter().all(|(y, height)| y + height <= HEIGHT));
    }

    #[test]
    fn what_is_no_series_has_no_chart() {
        let one = [json!(["2026-01", "a", 30])];
        assert!(of_rows(&columns(), &one).is_none());
        let texts = [json!(["a", "b", "c"]), json!(["a", "b", "c"])];
        assert!(of_rows(&columns(), &texts).is_none());
        let nothing = [json!(["a", null, null]), json!(["b", null, null])];
        assert!(of_rows(&columns(), &nothing).is_none());
        let zeros = [json!(["a", 0]), json!(["b", 0])];
        let chart = of_rows(&columns(), &zeros).unwrap_or_default();
        assert_eq!(chart["columns"][0]["height"], 0.0);
    }
}
