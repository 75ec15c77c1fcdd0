use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn every_text_survives_escaping(text in "\\PC{0,40}|[\\x00-\\x7f]{0,40}") {
        let mut escaped = String::new();
        escape(&text, &mut escaped);
        prop_assert!(!escaped.is_empty());
        prop_assert!(!escaped.contains(|c: char| c == ':' || c == '/' || c.is_whitespace() || !c.is_ascii()));
        prop_assert_eq!(unescape(&escaped), Some(text));
    }

    #[test]
    fn two_texts_never_share_an_escaped_form(a in "\\PC{0,8}", b in "\\PC{0,8}") {
        let (mut left, mut right) = (String::new(), String::new());
        escape(&a, &mut left);
        escape(&b, &mut right);
        prop_assert_eq!(a == b, left == right);
    }
}

#[test]
fn text_that_was_not_escaped_is_refused() {
    for text in ["%4", "%zz", "a%", "%FF"] {
        assert_eq!(unescape(text), None, "{text}");
    }
}
