use proptest::prelude::*;
use serde_json::json;

use super::{Question, text_hash};
use crate::rank::Weights;

fn question() -> Question {
    Question {
        text: "white holder".to_owned(),
        project: None,
        limit: 10,
        tier: None,
        tags: vec!["a".to_owned(), "b".to_owned()],
        metadata: Some(json!({ "x": 1, "y": { "p": [1, 2], "q": null } })),
        notes: true,
        resources: vec!["cin7.product".to_owned(), "cin7.sale".to_owned()],
        instances: Some(vec!["au".to_owned(), "us".to_owned()]),
        weights: Weights::default(),
        embedder: "lexical-1".to_owned(),
        generation: "7".to_owned(),
    }
}

#[test]
fn c24_the_order_of_filters_and_the_spacing_of_json_do_not_matter() {
    let one = question();
    let mut other = question();
    other.text = "  white holder\n".to_owned();
    other.tags = vec!["b".to_owned(), "a".to_owned(), "b".to_owned()];
    other.resources.reverse();
    other.instances.as_mut().unwrap().reverse();
    let metadata = r#"{"y" :{ "q":null, "p":[1,2]},   "x":1}"#;
    other.metadata = Some(serde_json::from_str(metadata).unwrap());
    assert_eq!(one.hash(), other.hash());
}

#[test]
fn c24_whatever_changes_the_answer_changes_the_key() {
    let changes: [fn(&mut Question); 14] = [
        |q| q.text.push('s'),
        |q| q.project = Some("web".to_owned()),
        |q| q.limit = 11,
        |q| q.tier = Some("hot".to_owned()),
        |q| q.tier = Some("cold".to_owned()),
        |q| q.tags.push("c".to_owned()),
        |q| q.metadata = Some(json!({ "x": 1, "y": { "p": [2, 1], "q": null } })),
        |q| q.metadata = None,
        |q| q.notes = false,
        |q| q.resources.truncate(1),
        |q| q.instances = None,
        |q| q.weights.words = 0.4,
        |q| q.embedder.push('2'),
        |q| q.generation = "8".to_owned(),
    ];
    let mut hashes: Vec<String> = changes
        .iter()
        .map(|change| {
            let mut changed = question();
            change(&mut changed);
            changed.hash()
        })
        .collect();
    hashes.push(question().hash());
    let count = hashes.len();
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), count);
}

proptest! {
    /// Parts of a question never run into one another.
    #[test]
    fn c24_two_questions_have_one_key_only_if_they_are_equal(
        tags in proptest::collection::vec("[a-c\",]{0,3}", 0..4),
        others in proptest::collection::vec("[a-c\",]{0,3}", 0..4),
        tier in proptest::option::of("[a-c\",]{0,3}"),
        project in proptest::option::of("[a-c\",]{0,3}"),
    ) {
        let mut one = question();
        let mut other = question();
        one.tags = tags.clone();
        other.tags = others.clone();
        one.tier = tier.clone();
        other.project = project.clone();
        let sorted = |mut texts: Vec<String>| {
            texts.sort();
            texts.dedup();
            texts
        };
        let equal = sorted(tags) == sorted(others) && tier.is_none() && project.is_none();
        prop_assert_eq!(one.hash() == other.hash(), equal);
    }

    #[test]
    fn c21_one_byte_makes_another_key(text in ".{0,40}", at in 0_usize..40, with in any::<char>()) {
        let mut letters: Vec<char> = text.chars().collect();
        letters.insert(at.min(letters.len()), with);
        let other: String = letters.into_iter().collect();
        prop_assert_ne!(text_hash(&text), text_hash(&other));
    }
}
