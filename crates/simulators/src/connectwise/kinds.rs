//! The kinds of records and their members, read from `data/connectwise/kinds.txt`.

use std::collections::HashMap;
use std::sync::OnceLock;

const TEXT: &str = include_str!("../../data/connectwise/kinds.txt");

/// One kind of record.
#[derive(Debug)]
pub(crate) struct Kind {
    /// Position among all kinds, and of its table in the world.
    pub at: usize,
    pub name: &'static str,
    /// Path below `apis/3.0`; a member in braces links to the parent: `sales/opportunities/{opportunityId}/notes`.
    pub path: &'static str,
    /// As messages name it: `ProductItem`.
    pub type_name: &'static str,
    /// As refusals of a body name it: `productItem`.
    pub resource: String,
    pub fields: Vec<Field>,
    /// Members of a reference to it: its name in the reference, and the members of the record that make it up.
    pub label: Vec<(&'static str, Vec<&'static str>)>,
    /// Stem of the link in a reference: `status` gives `status_href`.
    pub href: &'static str,
    /// The type of its callbacks.
    pub callback: Option<&'static str>,
    /// The kind it belongs to, and the member that says to which record.
    pub parent: Option<(&'static str, &'static str)>,
    /// Collections below a record that `_info` links to.
    pub subs: Vec<&'static str>,
    /// Kept inside its parent, without a table.
    pub embedded: bool,
    /// A setup table: what refers to it keeps it from being deleted.
    pub setup: bool,
    /// Whether the collection has `search`.
    pub search: bool,
    verbs: Option<Vec<&'static str>>,
}

/// One member of a record.
#[derive(Debug)]
pub(crate) struct Field {
    pub name: &'static str,
    pub ty: Ty,
    /// Most characters.
    pub max: Option<usize>,
    pub required: bool,
    /// Required when a record is replaced.
    pub update: bool,
    /// Taken on create, never answered.
    pub write_only: bool,
    /// Not part of models before 2025.1.
    pub new: bool,
    /// Set by the service: what a client sends is ignored.
    pub server: bool,
}

/// What a member holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ty {
    Int,
    Decimal,
    Text,
    Time,
    Bool,
    Uuid,
    Enum(Vec<&'static str>),
    /// A record of another kind, kept as its id; the members of the reference if they are not that kind's own.
    Ref(&'static str, Vec<&'static str>),
    Refs(&'static str),
    Rows(&'static str),
    Texts,
    Ints,
    Info,
    Custom,
    /// Kept and answered as sent.
    Any,
}

impl Kind {
    /// The member of that name, without regard to case.
    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        self.fields
            .iter()
            .find(|field| field.name.eq_ignore_ascii_case(name))
    }

    /// Whether the documentation lists this method for the record (`one`) or its collection.
    pub(crate) fn allows(&self, method: &str, one: bool) -> bool {
        let fits = if one {
            ["GET", "PUT", "PATCH", "DELETE"].contains(&method)
        } else {
            ["GET", "POST"].contains(&method)
        };
        fits && self
            .verbs
            .as_ref()
            .is_none_or(|verbs| verbs.contains(&method))
    }
}

/// All kinds, in the order of the file.
pub(crate) fn kinds() -> &'static [Kind] {
    &book().0
}

/// The kind of that name.
///
/// # Panics
///
/// When the file has none: a mistake in this crate, which its tests find.
pub(crate) fn kind(name: &str) -> &'static Kind {
    match book().1.get(name) {
        Some(at) => &kinds()[*at],
        None => panic!("kinds.txt has no `{name}`"),
    }
}

fn book() -> &'static (Vec<Kind>, HashMap<&'static str, usize>) {
    static BOOK: OnceLock<(Vec<Kind>, HashMap<&'static str, usize>)> = OnceLock::new();
    BOOK.get_or_init(|| {
        let kinds = parse(TEXT);
        let names = kinds.iter().map(|kind| (kind.name, kind.at)).collect();
        (kinds, names)
    })
}

fn parse(text: &'static str) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = vec![];
    for line in text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        match line.strip_prefix("  ") {
            Some(member) => kinds
                .last_mut()
                .expect("a member stands below its kind")
                .fields
                .push(field(member)),
            None => {
                let at = kinds.len();
                kinds.push(head(line, at));
            }
        }
    }
    kinds
}

fn head(line: &'static str, at: usize) -> Kind {
    let mut words = line.split(' ');
    let mut next = || words.next().unwrap_or_default();
    let (name, path, type_name) = (next(), next(), next());
    let mut lower = type_name.to_owned();
    lower[..1].make_ascii_lowercase();
    let mut kind = Kind {
        at,
        name,
        path,
        type_name,
        resource: lower,
        fields: vec![],
        label: label("id,name"),
        href: name,
        callback: None,
        parent: None,
        subs: vec![],
        embedded: false,
        setup: false,
        search: false,
        verbs: None,
    };
    for word in words {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        match key {
            "label" => kind.label = label(value),
            "href" => kind.href = value,
            "callback" => kind.callback = Some(value),
            "resource" => kind.resource = value.to_owned(),
            "parent" => {
                let link = path
                    .split_once('{')
                    .and_then(|(_, rest)| rest.split_once('}'));
                kind.parent = link.map(|(link, _)| (value, link));
            }
            "subs" => kind.subs = value.split(',').collect(),
            "verbs" => kind.verbs = Some(value.split(',').collect()),
            "embedded" => kind.embedded = true,
            "setup" => kind.setup = true,
            "search" => kind.search = true,
            _ => panic!("kinds.txt: `{word}` is not known"),
        }
    }
    kind
}

fn label(text: &'static str) -> Vec<(&'static str, Vec<&'static str>)> {
    text.split(',')
        .map(|part| {
            let (name, from) = part.split_once('=').unwrap_or((part, part));
            (name, from.split('+').collect())
        })
        .collect()
}

fn field(line: &'static str) -> Field {
    let mut words = line.split(' ').peekable();
    let name = words.next().unwrap_or_default();
    let ty = words.next().unwrap_or_default();
    let mut of = || words.next().unwrap_or_default();
    let ty = match ty {
        "int" => Ty::Int,
        "decimal" => Ty::Decimal,
        "text" => Ty::Text,
        "time" => Ty::Time,
        "bool" => Ty::Bool,
        "uuid" => Ty::Uuid,
        "enum" => Ty::Enum(of().split('|').collect()),
        "ref" => {
            let word = of();
            let (target, members) = word.split_once(':').unwrap_or((word, ""));
            let members = members.split(',').filter(|name| !name.is_empty()).collect();
            Ty::Ref(target, members)
        }
        "refs" => Ty::Refs(of()),
        "rows" => Ty::Rows(of()),
        "texts" => Ty::Texts,
        "ints" => Ty::Ints,
        "info" => Ty::Info,
        "custom" => Ty::Custom,
        "any" => Ty::Any,
        _ => panic!("kinds.txt: `{ty}` of `{line}` is not a type"),
    };
    let mut field = Field {
        name,
        ty,
        max: None,
        required: false,
        update: false,
        write_only: false,
        new: false,
        server: false,
    };
    for word in words {
        match word {
            "required" => field.required = true,
            "update" => field.update = true,
            "write" => field.write_only = true,
            "new" => field.new = true,
            "server" => field.server = true,
            _ => {
                field.max = word.strip_prefix("max=").and_then(|max| max.parse().ok());
                assert!(field.max.is_some(), "kinds.txt: `{word}` is not known");
            }
        }
    }
    field
}

#[cfg(test)]
mod tests;
