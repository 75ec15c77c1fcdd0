use serde_json::json;

use super::{Field, text_of};

#[test]
fn texts_and_numbers_are_taken_and_nothing_else() {
    let body = json!({
        "Name": " White holder ", "Code": 71, "Empty": "  ", "On": true, "Deep": { "A": { "B": "b" } },
        "Lines": [{ "Note": "one" }, { "Other": 1 }, { "Note": "two" }],
    });
    let fields = [
        "Name",
        "Code",
        "Empty",
        "On",
        "Deep.A.B",
        "Lines[].Note",
        "Lines.Note",
        "None.Of.It",
    ];
    let fields: Vec<Field> = fields.iter().map(|text| text.parse().unwrap()).collect();
    assert_eq!(text_of(&body, &fields), "White holder\n71\nb\none\ntwo");
    assert_eq!(text_of(&json!(null), &fields), "");
}

#[test]
fn what_is_no_field_is_refused() {
    for bad in ["", ".", "a..b", "a[0]", "[]", "a.[].b"] {
        assert!(bad.parse::<Field>().is_err(), "{bad}");
    }
    let field: Field = "a[].b".parse().unwrap();
    assert_eq!(field.to_string(), "a[].b");
}
