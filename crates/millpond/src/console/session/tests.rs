#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use http::{HeaderMap, header};

use super::{Seal, Session, inside};

fn with_cookie(value: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let value = format!("other=1; millpond_session={value}");
    headers.insert(header::COOKIE, value.parse().unwrap());
    headers
}

#[test]
fn a_session_opens_with_its_own_seal_and_before_its_end() {
    let seal = Seal::new("one secret");
    let sealed = seal.seal("mp_key", 100);
    assert!(!sealed.contains("mp_key"));
    assert_eq!(seal.open(&sealed, 99).unwrap(), "mp_key");
    assert_eq!(seal.open(&sealed, 100), None, "over");
    assert_eq!(Seal::new("another").open(&sealed, 99), None);
    let mut torn = sealed.clone();
    torn.truncate(torn.len() - 2);
    for wrong in ["", "x", &torn, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        assert_eq!(seal.open(wrong, 0), None, "{wrong}");
    }
}

#[test]
fn forms_are_bound_to_the_session_they_were_shown_in() {
    let seal = Seal::new("one secret");
    let (mine, other) = (Session::new(&seal, "a"), Session::new(&seal, "a"));
    let found = Session::of(&seal, &with_cookie(&mine.cookie)).unwrap();
    assert_eq!(found.credential(), "a");
    assert!(found.admits(mine.token()));
    assert!(!found.admits(other.token()));
    assert!(!found.admits(""));
    assert!(Session::of(&seal, &HeaderMap::new()).is_none());
}

#[test]
fn logging_in_leads_nowhere_else() {
    assert_eq!(inside(Some("/console/sql?q=1")), "/console/sql?q=1");
    for foreign in [
        "https://evil.example",
        "//evil.example",
        "/console//evil",
        "/v1/keys",
        "/console\\evil",
    ] {
        assert_eq!(inside(Some(foreign)), "/console", "{foreign}");
    }
    assert_eq!(inside(None), "/console");
}
