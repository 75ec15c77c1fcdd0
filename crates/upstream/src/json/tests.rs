use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

fn accepts(text: &[u8]) -> bool {
    let mut scanner = Scanner::new(text);
    std::str::from_utf8(text).is_ok() && scanner.value().is_ok() && scanner.end().is_ok()
}

/// What `serde_json` accepts, numbers beyond 64 bits included.
fn oracle_accepts(text: &[u8]) -> bool {
    serde_json::from_slice::<&serde_json::value::RawValue>(text).is_ok()
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        ".{0,24}".prop_map(Into::into),
        "[ -~\\\\\"\u{0}-\u{1f}]{0,40}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::vec((".{0,6}", inner), 0..6)
                .prop_map(|pairs| serde_json::Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn accepts_what_the_oracle_accepts(value in json(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        prop_assert!(accepts(text.as_bytes()), "{text}");
    }

    #[test]
    fn agrees_with_the_oracle_on_damaged_text(
        value in json(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
    ) {
        let mut text = serde_json::to_vec(&value).unwrap();
        let at = at.index(text.len());
        if cut { text.truncate(at) } else { text[at] = byte }
        prop_assert_eq!(accepts(&text), oracle_accepts(&text), "{:?}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn agrees_with_the_oracle_on_short_noise(text in "[-+0-9eE.truefalsn\\[\\]{},:\"\\\\ u]{0,12}") {
        prop_assert_eq!(accepts(text.as_bytes()), oracle_accepts(text.as_bytes()), "{}", text);
    }

    #[test]
    fn a_torn_text_is_told_from_a_wrong_one(value in json(), at in any::<prop::sample::Index>()) {
        let text = serde_json::to_vec(&serde_json::json!({ "a": value })).unwrap();
        let torn = &text[..at.index(text.len())];
        let mut scanner = Scanner::new(torn);
        prop_assert_eq!(scanner.value().unwrap_err(), NotJson::Torn);
    }

    #[test]
    fn wanted_values_are_where_the_oracle_finds_them(a in json(), b in json(), c in json()) {
        let value = serde_json::json!({ "z": { "a": c, "q\"\u{e9}": a }, "b": b, "x": [a] });
        let text = serde_json::to_vec(&value).unwrap();
        // Read back: the oracle does not keep the last digit of every float.
        let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let mut wants = Wants::default();
        wants.add(&["z".into(), "q\"\u{e9}".into()], 0);
        wants.add(&["b".into()], 1);
        wants.add(&["z".into(), "none".into()], 2);
        let mut found = [None, None, None];
        wants.find(&mut Scanner::new(&text), &mut found).unwrap();
        let at = |range: &Option<Range<usize>>| -> serde_json::Value {
            serde_json::from_slice(&text[range.clone().unwrap()]).unwrap()
        };
        prop_assert_eq!(at(&found[0]), value["z"]["q\"\u{e9}"].clone());
        prop_assert_eq!(at(&found[1]), value["b"].clone());
        prop_assert!(found[2].is_none());
    }
}

#[test]
fn nesting_without_end_is_passed_without_overflowing() {
    let deep = |open: &str, inner: &str, close: &str| {
        let mut text = String::new();
        for _ in 0..200_000 {
            write!(text, "{open}").unwrap();
        }
        write!(text, "{inner}").unwrap();
        for _ in 0..200_000 {
            write!(text, "{close}").unwrap();
        }
        text
    };
    assert!(accepts(deep("[", "1", "]").as_bytes()));
    assert!(accepts(deep("[[],", "[]", "]").as_bytes()));
    assert!(accepts(
        deep("{\"a\":1,\"b\":", "{}", ",\"c\":[2]}").as_bytes()
    ));
    assert!(!accepts(deep("[", "1", "").as_bytes()));
    assert!(!accepts(deep("[", "1", "}").as_bytes()));
    assert!(!accepts(
        deep("[", "", "]").as_bytes().split_last().unwrap().1
    ));
    assert!(!accepts(deep("{\"a\":", "1", ",}").as_bytes()));
    assert!(!accepts(deep("[", "1", ",]").as_bytes()));
}
