use super::*;

#[test]
fn a_pattern_fits_with_stars_percents_and_escaped_brackets() {
    for (pattern, text, fits) in [
        ("fred%", "fred smith", true),
        ("*smith", "fred smith", true),
        ("f*s*h", "fred smith", true),
        ("fred", "fred smith", false),
        ("[[]a*", "[abc]", true),
        ("*", "", true),
        ("a*b", "aXXbYYb", true),
        ("a*b", "aXXbYY", false),
    ] {
        assert_eq!(like(pattern, text), fits, "{pattern} on {text}");
    }
}
