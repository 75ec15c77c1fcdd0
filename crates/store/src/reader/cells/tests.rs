use super::*;

fn json(shape: &Shape, text: &str) -> String {
    let mut json = String::new();
    shape.write(text, &mut json);
    json
}

#[test]
fn numbers_keep_every_digit_and_special_ones_become_text() {
    let exact = "-12345678901234567890.123456789012345678901234567890";
    assert_eq!(json(&Shape::Number, exact), exact);
    assert_eq!(json(&Shape::Number, "1e+300"), "1e+300");
    assert_eq!(json(&Shape::Number, "NaN"), "\"NaN\"");
    assert_eq!(json(&Shape::Number, "-Infinity"), "\"-Infinity\"");
}

#[test]
fn stamps_are_written_as_the_web_writes_them() {
    assert_eq!(
        json(&Shape::Timestamp, "2026-01-05 10:00:00.5+00"),
        "\"2026-01-05T10:00:00.5+00:00\""
    );
    assert_eq!(
        json(&Shape::Timestamp, "2026-01-05 10:00:00"),
        "\"2026-01-05T10:00:00\""
    );
    assert_eq!(
        json(&Shape::Timestamp, "2026-01-05 10:00:00+05:30"),
        "\"2026-01-05T10:00:00+05:30\""
    );
    assert_eq!(json(&Shape::Timestamp, "infinity"), "\"infinity\"");
    assert_eq!(
        json(&Shape::Timestamp, "0044-03-15 00:00:00 BC"),
        "\"0044-03-15 00:00:00 BC\""
    );
}

#[test]
fn arrays_become_arrays_of_their_elements() {
    let numbers = Shape::Array(Box::new(Shape::Number));
    assert_eq!(json(&numbers, "{1,NULL,3.50}"), "[1,null,3.50]");
    assert_eq!(json(&numbers, "{{1,2},{3,4}}"), "[[1,2],[3,4]]");
    assert_eq!(json(&numbers, "{}"), "[]");
    let texts = Shape::Array(Box::new(Shape::Text));
    assert_eq!(
        json(&texts, r#"{a,"b,\"c\"",NULL,"NULL","{x}"}"#),
        r#"["a","b,\"c\"",null,"NULL","{x}"]"#
    );
    assert_eq!(json(&texts, "[0:1]={a,b}"), r#""[0:1]={a,b}""#);
}
