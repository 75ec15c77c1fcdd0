use super::*;

fn query(text: &str) -> Query {
    let params = text
        .split('&')
        .filter_map(|p| p.split_once('='))
        .map(|(k, v)| (k.into(), v.into()));
    Query::new(params.collect(), Cut::default())
}

fn rows(text: &str) -> String {
    let (total, page, rows) = query(text).rows(0..250, J::Int).unwrap();
    let first = rows
        .first()
        .map_or("-".into(), |row| String::from_utf8(row.bytes()).unwrap());
    format!("{total} {page} {} {first}", rows.len())
}

#[test]
fn pages_are_cut_as_documented() {
    assert_eq!(rows(""), "250 1 100 0");
    assert_eq!(rows("pAGE=3"), "250 3 50 200");
    assert_eq!(rows("page=4"), "250 4 0 -");
    assert_eq!(rows("Limit=5000"), "250 1 250 0");
    assert_eq!(rows("Limit=0&Page=0"), "250 1 1 0");
}

#[test]
fn every_form_of_date_is_read() {
    for text in [
        "2024-01-15",
        "2024-01-15T00:00:00",
        "2024-01-15T00:00:00.000Z",
        "2024-01-15T01:00:00 01:00",
    ] {
        assert_eq!(
            parse_instant(text).map(|at| at.to_string()).as_deref(),
            Some("2024-01-15T00:00:00Z"),
            "{text}"
        );
    }
    assert_eq!(parse_instant("15/01/2024"), None);
}
