//! Which payload belongs to a record of its parent, and what it is called.

use crate::connector::{Payload, Template};
use crate::json::{Scanner, Wants};
use crate::record_key::build_id;

/// What tells one payload from another: the values of its family's places, in their order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PayloadKey(Vec<(String, String)>);

impl PayloadKey {
    /// The values, in the order of the family's places.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(|(_, value)| value.as_str())
    }

    /// The places, in the order of the family's.
    pub fn places(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(place, _)| place.as_str())
    }

    /// The value of a place.
    pub fn value(&self, place: &str) -> Option<&str> {
        let found = self.0.iter().find(|(name, _)| name == place);
        found.map(|(_, value)| value.as_str())
    }

    /// The id of the payload's row: its values with colons between. A colon or backslash within one is escaped with a
    /// backslash, unless there is only one.
    pub fn row_id(&self) -> String {
        if let [(_, only)] = self.0.as_slice() {
            return only.clone();
        }
        let escaped = self
            .0
            .iter()
            .map(|(_, value)| value.replace('\\', r"\\").replace(':', r"\:"));
        escaped.collect::<Vec<_>>().join(":")
    }

    /// The key in the words of its family: `opp:notes:{id}` with the values in their places.
    pub fn logical(&self, family: &Template) -> String {
        family.fill(|place| self.value(place)).unwrap_or_default()
    }
}

impl Payload {
    /// The key of the payload of the record `id` with this body; `None` when the record does not name all of it: a
    /// deal without a site has no site payload.
    pub fn key(&self, id: &str, body: &[u8]) -> Option<PayloadKey> {
        let mut wants = Wants::default();
        for (slot, (_, path)) in self.ids.iter().enumerate() {
            wants.add(path.keys(), slot);
        }
        let mut found = vec![None; self.ids.len()];
        if !self.ids.is_empty() {
            wants.find(&mut Scanner::new(body), &mut found).ok()?;
        }
        let places = self.family.places().map(|place| {
            let value = match self.ids.iter().position(|(name, _)| name == place) {
                Some(slot) => build_id(body, &found[slot..=slot], false).ok()?,
                None => id.to_owned(),
            };
            Some((place.to_owned(), value))
        });
        places.collect::<Option<Vec<_>>>().map(PayloadKey)
    }
}

#[cfg(test)]
mod tests {
    use crate::Connector;

    const TEXT: &str = r#"
name = "desk"
base_url = "https://api.example.com"
[auth]
kind = "bearer"
token = "{t}"
[limits]
calls_per_minute = 60
[[resource]]
name = "deal"
list = "deals"
key = "id"
[[payload]]
name = "deal_site"
family = "deal:site:{company}:{site}"
of = "deal"
ids = { company = "company.id", site = "site.id" }
get = "companies/{company}/sites/{site}"
[[payload]]
name = "deal_notes"
family = "deal:notes:{id}"
of = "deal"
list = "deals/{id}/notes"
"#;

    #[test]
    fn a_payload_is_named_by_what_its_parent_says() {
        let connector = Connector::parse("desk.toml", TEXT).unwrap();
        let key = |name: &str, body: &str| {
            let payload = connector.payload(name).unwrap();
            let key = payload.key("7", body.as_bytes())?;
            Some((key.row_id(), key.logical(&payload.family)))
        };
        let body = r#"{"id":7,"company":{"id":12,"name":"A"},"site":{"id":3}}"#;
        assert_eq!(
            key("deal_site", body),
            Some(("12:3".to_owned(), "deal:site:12:3".to_owned()))
        );
        assert_eq!(
            key("deal_notes", body),
            Some(("7".to_owned(), "deal:notes:7".to_owned()))
        );
        for bare in [
            r#"{"company":{"id":12},"site":{}}"#,
            r#"{"company":{"id":12},"site":null}"#,
            r#"{"company":{"id":12}}"#,
            "{}",
        ] {
            assert_eq!(key("deal_site", bare), None, "{bare}");
        }
        let odd = r#"{"company":{"id":"a:b"},"site":{"id":"c\\"}}"#;
        assert_eq!(key("deal_site", odd).unwrap().0, r"a\:b:c\\");
    }
}
