//! The id of a record: one value, or several joined.

use std::ops::Range;

use crate::json::string_of;

/// Longer ids are no ids.
const ID_LENGTH_MAX: usize = 512;

/// Builds the id out of the values at the resource's key, given as JSON text.
///
/// Several values are joined with `|`; a `|` or `\` within one is escaped with `\`. Absent, null and empty are
/// the same, for upstreams mix them; the first value must be there.
///
/// # Errors
///
/// A sentence that says why there is no usable id.
pub(crate) fn build_id(
    body: &[u8],
    values: &[Option<Range<usize>>],
    lower_guids: bool,
) -> Result<String, String> {
    let mut id = String::with_capacity(40);
    for (position, value) in values.iter().enumerate() {
        let raw = value
            .clone()
            .and_then(|range| body.get(range))
            .unwrap_or(b"null");
        let text = read_part(raw)?;
        if position == 0 && text.is_empty() {
            return Err("no id".to_owned());
        }
        let text = if lower_guids && is_guid(&text) {
            text.to_ascii_lowercase()
        } else {
            text
        };
        if values.len() == 1 {
            id = text;
        } else {
            if position > 0 {
                id.push('|');
            }
            for letter in text.chars() {
                if letter == '|' || letter == '\\' {
                    id.push('\\');
                }
                id.push(letter);
            }
        }
    }
    if id.len() > ID_LENGTH_MAX {
        return Err(format!(
            "an id of {} bytes; at most {ID_LENGTH_MAX}",
            id.len()
        ));
    }
    Ok(id)
}

/// Brings an id from elsewhere (a webhook, a person) into the form that [`build_id`] gives it.
pub(crate) fn normal_id(id: &str, lower_guids: bool) -> String {
    if lower_guids && is_guid(id) {
        id.to_ascii_lowercase()
    } else {
        id.to_owned()
    }
}

fn read_part(raw: &[u8]) -> Result<String, String> {
    match raw.first() {
        Some(b'n') => Ok(String::new()),
        Some(b'"') => {
            let text = string_of(raw).ok_or("an id that is no text")?;
            if text.contains('\0') {
                Err("an id with a NUL in it".to_owned())
            } else {
                Ok(text)
            }
        }
        Some(b'-' | b'0'..=b'9') if raw.iter().all(|byte| matches!(byte, b'-' | b'0'..=b'9')) => {
            Ok(String::from_utf8_lossy(raw).into_owned())
        }
        Some(b'-' | b'0'..=b'9') => Err("an id that is a fraction".to_owned()),
        Some(b't' | b'f') => Err("an id that is true or false".to_owned()),
        Some(b'[') => Err("an id that is an array".to_owned()),
        _ => Err("an id that is an object".to_owned()),
    }
}

fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text
            .bytes()
            .enumerate()
            .all(|(position, byte)| match position {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id_of(parts: &[&str], lower: bool) -> Result<String, String> {
        let mut body = Vec::new();
        let mut ranges = Vec::new();
        for part in parts {
            let start = body.len();
            body.extend_from_slice(part.as_bytes());
            ranges.push(Some(start..body.len()));
        }
        build_id(&body, &ranges, lower)
    }

    #[test]
    fn ids_are_texts_or_whole_numbers() {
        assert_eq!(id_of(&["12"], false).unwrap(), "12");
        assert_eq!(id_of(&[r#""A\u0042|C""#], true).unwrap(), "AB|C");
        let guid = r#""7C2AF153-C1B0-4D6E-9B5A-0123456789AB""#;
        assert_eq!(
            id_of(&[guid], true).unwrap(),
            "7c2af153-c1b0-4d6e-9b5a-0123456789ab"
        );
        assert_eq!(
            id_of(&[guid, "null", r#""Main: A|1""#], true).unwrap(),
            r"7c2af153-c1b0-4d6e-9b5a-0123456789ab||Main: A\|1"
        );
        for bad in ["null", r#""""#, "1.5", "true", "[1]", "{}", r#""\u0000""#] {
            assert!(id_of(&[bad], false).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn different_values_never_make_the_same_id(
            a in prop::collection::vec("[ab|\\\\]{0,4}", 3), b in prop::collection::vec("[ab|\\\\]{0,4}", 3),
        ) {
            let id = |parts: &[String]| {
                let quoted: Vec<String> = parts.iter().map(|part| serde_json::to_string(&format!("x{part}")).unwrap()).collect();
                id_of(&quoted.iter().map(String::as_str).collect::<Vec<_>>(), false).unwrap()
            };
            prop_assert_eq!(a == b, id(&a) == id(&b));
        }
    }
}
