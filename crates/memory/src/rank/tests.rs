use super::{BadWeights, Candidate, Weights, ranked};

fn order(candidates: &[(&str, Option<f64>, Option<f64>)], words: f64, vectors: f64) -> String {
    let candidates = candidates.iter().map(|(id, words, cosine)| Candidate {
        id: *id,
        words: *words,
        cosine: *cosine,
    });
    let ranked = ranked(candidates, Weights { words, vectors }, 10);
    let ids: Vec<&str> = ranked.iter().map(|ranked| ranked.candidate.id).collect();
    ids.join(" ")
}

#[test]
fn what_both_found_comes_before_what_one_found() {
    let found = [
        ("words", Some(0.6), None),
        ("both", Some(0.5), Some(0.5)),
        ("vectors", None, Some(0.7)),
        ("neither", None, Some(-0.2)),
    ];
    assert_eq!(order(&found, 0.5, 0.5), "both vectors words");
    assert_eq!(order(&found, 1.0, 0.0), "words both");
    assert_eq!(order(&found, 0.0, 1.0), "vectors both");
}

#[test]
fn equals_are_in_the_order_of_their_ids() {
    let found = [
        ("b", Some(0.5), None),
        ("a", None, Some(0.5)),
        ("c", Some(0.5), None),
    ];
    assert_eq!(order(&found, 0.5, 0.5), "a b c");
}

#[test]
fn weights_that_rank_nothing_are_refused() {
    for (words, vectors) in [(0.0, 0.0), (-0.1, 1.0), (0.5, 1.1), (f64::NAN, 0.5)] {
        assert_eq!(Weights { words, vectors }.checked(), Err(BadWeights));
    }
    assert!(Weights::default().checked().is_ok());
}
