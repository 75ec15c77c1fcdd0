//! Putting the parts of a payload together.

use std::str::FromStr;

use bytes::{BufMut, Bytes, BytesMut};
use rust_decimal::Decimal;
use serde_json::value::RawValue;
use upstream::FieldPath;

/// One document of the parts: the one without a name is the document itself, others stand under their names.
pub(super) fn compose(parts: &[(String, Bytes)]) -> Bytes {
    if let [(name, only)] = parts
        && name.is_empty()
    {
        return only.clone();
    }
    let mut body = BytesMut::with_capacity(parts.iter().map(|(_, part)| part.len() + 32).sum());
    for (position, (name, part)) in parts.iter().enumerate() {
        body.put_u8(if position == 0 { b'{' } else { b',' });
        // Names of parts are a-z, 0-9 and _.
        body.extend_from_slice(format!("\"{name}\":").as_bytes());
        body.extend_from_slice(part);
    }
    if parts.is_empty() {
        body.put_u8(b'{');
    }
    body.put_u8(b'}');
    body.freeze()
}

/// The sum of the numbers at `at` over the elements of `list`, exact. An element without one adds nothing.
///
/// # Errors
///
/// What is no list, no number, or too large, in words.
pub(super) fn sum(list: &[u8], at: &FieldPath) -> Result<Decimal, String> {
    let elements: Vec<&RawValue> =
        serde_json::from_slice(list).map_err(|_| "what is to be summed is no list".to_owned())?;
    let mut total = Decimal::ZERO;
    for element in elements {
        let Some(text) = find(element, at.keys()) else {
            continue;
        };
        let number = Decimal::from_str(&text)
            .or_else(|_| Decimal::from_scientific(&text))
            .map_err(|_| format!("`{at}` of an element is no number"))?;
        total = total
            .checked_add(number)
            .ok_or_else(|| format!("the sum of `{at}` is too large"))?;
    }
    Ok(total.normalize())
}

/// The number or text at a path, as it is written; `None` when it is missing or null.
fn find(element: &RawValue, path: &[String]) -> Option<String> {
    let Some((key, rest)) = path.split_first() else {
        let text = element.get();
        return match serde_json::from_str::<String>(text) {
            Ok(text) => Some(text),
            Err(_) => (text != "null").then(|| text.to_owned()),
        };
    };
    let members: std::collections::HashMap<String, &RawValue> =
        serde_json::from_str(element.get()).ok()?;
    find(members.get(key)?, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_hand(list: &str) -> Result<String, String> {
        let path = FieldPath::parse("stock.onHand").unwrap();
        sum(list.as_bytes(), &path).map(|total| total.to_string())
    }

    #[test]
    fn sums_are_exact_and_skip_what_is_not_there() {
        let list = r#"[{"stock":{"onHand":0.1}},{"stock":{"onHand":0.2}},{"stock":{"onHand":-3}},{"stock":{}},{},{"stock":{"onHand":null}},{"stock":{"onHand":"1e2"}}]"#;
        assert_eq!(on_hand(list), Ok("97.3".to_owned()));
        assert_eq!(on_hand("[]"), Ok("0".to_owned()));
        assert!(on_hand(r#"{"a":1}"#).is_err());
        assert!(on_hand(r#"[{"stock":{"onHand":true}}]"#).is_err());
    }

    #[test]
    fn parts_stand_under_their_names() {
        let part =
            |name: &str, text: &'static str| (name.to_owned(), Bytes::from_static(text.as_bytes()));
        assert_eq!(compose(&[part("", "[1,2]")]), "[1,2]");
        assert_eq!(
            compose(&[part("a", "[1]"), part("b", "null")]),
            r#"{"a":[1],"b":null}"#
        );
    }
}
