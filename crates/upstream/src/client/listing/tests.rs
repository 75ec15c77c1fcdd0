use http::{HeaderMap, HeaderValue, header};

use super::*;

#[test]
fn the_next_link_is_found_whatever_stands_around_it() {
    let next = |link: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(header::LINK, HeaderValue::from_str(link).unwrap());
        next_link(&headers)
    };
    let two = r#"<https://na.x/v1/a?conditions=id+in+(1,2)&pageSize=50&page=2>; rel="next", <https://na.x/v1/a?page=4>; rel="last""#;
    assert_eq!(
        next(two).as_deref(),
        Some("conditions=id+in+(1,2)&pageSize=50&page=2")
    );
    assert_eq!(next(r#"<https://na.x/a?page=4>; rel="last""#), None);
    assert_eq!(
        next(r#"<https://na.x/a?pageId=7>;rel=next"#).as_deref(),
        Some("pageId=7")
    );
    assert_eq!(next(""), None);
    assert_eq!(next("<broken"), None);
}

#[test]
fn ids_in_paths_cannot_climb_or_split() {
    assert_eq!(encode_segment("12"), "12");
    assert_eq!(encode_segment("1.5"), "1.5");
    assert_eq!(encode_segment("a/b?c#d"), "a%2Fb%3Fc%23d");
}
