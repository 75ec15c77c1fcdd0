use super::{Counts, Matcher, terms_of};
use crate::words::words_of;

/// What a text has of a question whose words are all equally rare; those in `known` some text has.
fn share(question: &str, known: &[&str], text: &str) -> f64 {
    let terms = terms_of(question);
    let counts: Vec<Counts> = terms
        .iter()
        .map(|term| Counts {
            rarity: 2.0,
            is_known: known.contains(&term.word.as_str()),
        })
        .collect();
    let mut matcher = Matcher::new(&terms, &counts);
    matcher.share(&words_of(text)).unwrap_or(0.0)
}

#[test]
fn a_code_is_found_in_each_notation() {
    for question in ["85123a", "85123-A", "85 123 a", "85123 a", "851-23a"] {
        assert_eq!(
            share(question, &[], "85123A white holder"),
            1.0,
            "{question}"
        );
    }
    assert_eq!(share("lunchbox", &[], "blue lunch-box"), 1.0);
    assert_eq!(share("lunch box", &[], "blue lunchbox"), 1.0);
}

#[test]
fn a_slip_counts_in_part_and_the_word_itself_whole() {
    for (question, text) in [
        ("hodler", "holder"),
        ("hollder", "holder"),
        ("hoder", "holder"),
        ("glsas", "glass"),
        ("85213a", "85123a"),
    ] {
        let near = share(question, &[], text);
        assert!((0.3..1.0).contains(&near), "{question} and {text}: {near}");
        assert_eq!(share(text, &[], text), 1.0);
    }
    assert_eq!(share("kettle", &[], "holder"), 0.0);
}

#[test]
fn a_code_with_another_digit_is_rather_another_code_than_one_with_two_swapped() {
    let (swapped, replaced) = (
        share("85213a", &[], "85123a"),
        share("85213a", &[], "85214a"),
    );
    assert!(
        swapped > 2.0 * replaced && replaced > 0.0,
        "{swapped} {replaced}"
    );
}

#[test]
fn what_a_word_may_have_been_counts_only_where_no_text_has_the_word() {
    assert_eq!(share("form", &["form"], "from"), 0.0);
    assert!(share("form", &[], "from") > 0.0);
}

#[test]
fn rare_words_count_more() {
    let terms = terms_of("rare common");
    let counts = [8.0, 1.0].map(|rarity| Counts {
        rarity,
        is_known: true,
    });
    let mut matcher = Matcher::new(&terms, &counts);
    let mut share = |text: &str| matcher.share(&words_of(text));
    assert!(share("rare").unwrap() > share("common").unwrap());
    assert_eq!(share("rare common"), Some(1.0));
    assert_eq!(share("neither"), None);
}

#[test]
fn a_question_of_any_length_looks_for_so_many_words_in_so_many_forms() {
    let question: String = (0..5_000).map(|n| format!("wordnumber{n} ")).collect();
    let terms = terms_of(&question);
    assert_eq!(terms.len(), super::TERMS_MAX);
    let forms: usize = terms.iter().map(|term| term.others.len()).sum();
    assert!(forms <= super::FORMS_MAX, "{forms} forms");
    let again = terms_of(&"same word ".repeat(3_000));
    assert_eq!(again.len(), 2);
    assert!(terms_of("").is_empty());
}
