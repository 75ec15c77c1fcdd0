use super::words_of;

fn words(text: &str) -> String {
    words_of(text).join(" ")
}

#[test]
fn what_differs_by_case_accent_ending_or_spelling_is_one_word() {
    for (one, other) in [
        ("HOLDERS", "holder"),
        ("Café", "cafe"),
        ("berries", "berry"),
        ("boxes", "box"),
        ("stopped", "stops"),
        ("coloured", "colors"),
        ("baking", "bake"),
        ("customer's", "customers"),
    ] {
        assert_eq!(words(one), words(other), "{one} and {other}");
    }
}

#[test]
fn codes_are_kept_whole_and_in_pieces() {
    assert_eq!(words("85123A"), "85123a");
    assert_eq!(words("85123-a"), "85123 85123a a");
    assert_eq!(words("T-LIGHT"), "light t tlight");
    assert_eq!(words("S/3"), "3 s s3");
}

#[test]
fn there_is_no_text_without_an_end() {
    assert_eq!(words(""), "");
    assert_eq!(words("  ... --- ///"), "");
    assert_eq!(words("\0nul\0"), "nul");
    let long = "x".repeat(100_000);
    assert_eq!(words(&long).len(), 48);
    let many: String = (0..10_000).map(|n| format!("w{n} ")).collect();
    assert_eq!(words_of(&many).len(), super::WORDS_MAX);
}
