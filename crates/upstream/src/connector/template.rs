//! A text with `{names}` to be filled in. No logic, no nesting.

/// A text with places for values: `/sales/opportunities/{id}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Fixed(String),
    Place(String),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong: a brace that is not closed, or a place whose name is not a-z, 0-9 and _.
    pub fn parse(text: &str) -> Result<Template, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find(['{', '}']) {
            let Some(close) = rest[open..].find('}').filter(|close| *close > 0) else {
                return Err(format!("`{text}` has a brace without its partner"));
            };
            let name = &rest[open + 1..open + close];
            let is_name =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            if name.is_empty() || !name.bytes().all(is_name) {
                return Err(format!(
                    "`{{{name}}}` is no place: write a name of a-z, 0-9 and _ between the braces"
                ));
            }
            if open > 0 {
                parts.push(Part::Fixed(rest[..open].to_owned()));
            }
            parts.push(Part::Place(name.to_owned()));
            rest = &rest[open + close + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Fixed(rest.to_owned()));
        }
        Ok(Template {
            text: text.to_owned(),
            parts,
        })
    }

    /// A text without places.
    pub fn fixed(text: &str) -> Template {
        Template {
            text: text.to_owned(),
            parts: vec![Part::Fixed(text.to_owned())],
        }
    }

    /// The text as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names of the places, in order.
    pub fn places(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Place(name) => Some(name.as_str()),
            Part::Fixed(_) => None,
        })
    }

    /// The text with every place filled by `value`; `Err` names the first place that has no value.
    ///
    /// # Errors
    ///
    /// The name of a place for which `value` has nothing.
    pub fn fill<V: AsRef<str>>(&self, value: impl Fn(&str) -> Option<V>) -> Result<String, &str> {
        let mut filled = String::with_capacity(self.text.len() + 32);
        for part in &self.parts {
            match part {
                Part::Fixed(text) => filled.push_str(text),
                Part::Place(name) => filled.push_str(value(name).ok_or(name.as_str())?.as_ref()),
            }
        }
        Ok(filled)
    }
}
