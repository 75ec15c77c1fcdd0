use store::read::Search;

use super::fingerprint;

fn search(criteria: &[&str]) -> Search {
    Search {
        criteria: criteria.iter().map(|text| text.parse().unwrap()).collect(),
        ..Search::all("cin7.sale".parse().unwrap())
    }
}

#[test]
fn the_order_of_criteria_and_instances_is_no_other_question() {
    let mut one = search(&["Location=Main", "Total>=5"]);
    one.instances = vec!["a".to_owned(), "b".to_owned()];
    let mut other = search(&["Total>=5", "Location=Main", "Total>=5"]);
    other.instances = vec!["b".to_owned(), "a".to_owned()];
    other.timeout = std::time::Duration::from_secs(77);
    assert_eq!(fingerprint(&one, "1"), fingerprint(&other, "1"));
}

#[test]
fn whatever_changes_the_answer_is_another_question() {
    let base = search(&["Location=Main"]);
    let mut others = vec![
        search(&["Location=main"]),
        search(&["Location!=Main"]),
        search(&["Location=Main", "Total>=5"]),
        Search {
            criteria: base.criteria.clone(),
            ..Search::all("cin7.product".parse().unwrap())
        },
    ];
    let with = |change: &dyn Fn(&mut Search)| {
        let mut search = base.clone();
        change(&mut search);
        search
    };
    others.push(with(&|search| search.limit = 7));
    others.push(with(&|search| search.deleted = true));
    others.push(with(&|search| search.after = Some("x".to_owned())));
    others.push(with(&|search| search.instances.push("a".to_owned())));
    others.push(with(&|search| search.json_path = Some("$.a".to_owned())));
    others.push(with(&|search| {
        search.contains = Some(serde_json::json!({"a": 1}))
    }));
    let mut prints: Vec<String> = others.iter().map(|other| fingerprint(other, "1")).collect();
    prints.push(fingerprint(&base, "1"));
    prints.push(fingerprint(&base, "2"));
    let count = prints.len();
    prints.sort();
    prints.dedup();
    assert_eq!(prints.len(), count);
}
