//! JSON as the simulated service writes it: keys in the documented order, decimals as plain numbers,
//! borrowed from the world wherever possible, so that a page is written without copying it first.

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde_json::Value;
use std::io::Write;
use uuid::Uuid;

/// A JSON value that is about to be written.
#[derive(Debug, Clone)]
pub(crate) enum J<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Dec(Decimal),
    Str(&'a str),
    Text(String),
    Id(Uuid),
    /// A business date, written as midnight without a zone.
    Date(Date),
    /// An instant in UTC with `Z` and without trailing zeros in its fraction.
    Stamp(Timestamp),
    Arr(Vec<J<'a>>),
    Obj(Vec<(&'a str, J<'a>)>),
    Val(&'a Value),
    Own(Value),
}

impl<'a> J<'a> {
    /// The bytes that go over the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        self.write(&mut out);
        out
    }

    /// The value as a client would parse it.
    pub(crate) fn value(&self) -> Value {
        serde_json::from_slice(&self.bytes()).unwrap_or(Value::Null)
    }

    /// The member called `key`, when this is an object that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&J<'a>> {
        match self {
            J::Obj(fields) => fields.iter().find(|(k, _)| *k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    /// Sets `key` to `value`, replacing a member whose name differs only in case.
    pub(crate) fn set(&mut self, key: &'a str, value: J<'a>) {
        if let J::Obj(fields) = self {
            match fields.iter_mut().find(|(k, _)| k.eq_ignore_ascii_case(key)) {
                Some(field) => field.1 = value,
                None => fields.push((key, value)),
            }
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        // Writing into a Vec cannot fail, so the results below carry nothing.
        match self {
            J::Null => out.extend_from_slice(b"null"),
            J::Bool(b) => out.extend_from_slice(if *b { b"true" } else { b"false" }),
            J::Int(n) => drop(write!(out, "{n}")),
            J::Dec(d) => drop(write!(out, "{}", d.normalize())),
            J::Str(s) => drop(serde_json::to_writer(out, s)),
            J::Text(s) => drop(serde_json::to_writer(out, s)),
            J::Id(id) => drop(write!(out, "\"{id}\"")),
            J::Date(d) => drop(write!(out, "\"{d}T00:00:00\"")),
            J::Stamp(t) => drop(write!(out, "\"{t}\"")),
            J::Val(v) => drop(serde_json::to_writer(out, v)),
            J::Own(v) => drop(serde_json::to_writer(out, v)),
            J::Arr(items) => {
                out.push(b'[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    item.write(out);
                }
                out.push(b']');
            }
            J::Obj(fields) => {
                out.push(b'{');
                for (at, (key, value)) in fields.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    drop(serde_json::to_writer(&mut *out, key));
                    out.push(b':');
                    value.write(out);
                }
                out.push(b'}');
            }
        }
    }
}

macro_rules! from {
    ($($ty:ty => $make:expr),* $(,)?) => {
        $(impl<'a> From<$ty> for J<'a> {
            fn from(value: $ty) -> Self {
                let make: fn($ty) -> J<'a> = $make;
                make(value)
            }
        })*
    };
}

from! {
    bool => J::Bool,
    i64 => J::Int,
    i32 => |n| J::Int(n.into()),
    u32 => |n| J::Int(n.into()),
    usize => |n| J::Int(i64::try_from(n).unwrap_or(i64::MAX)),
    Decimal => J::Dec,
    &'a str => J::Str,
    &'a String => |s| J::Str(s),
    String => J::Text,
    Uuid => J::Id,
    Date => J::Date,
    Timestamp => J::Stamp,
    Vec<J<'a>> => J::Arr,
    &'a Value => J::Val,
    Value => J::Own,
}

impl<'a, T: Into<J<'a>>> From<Option<T>> for J<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(J::Null, Into::into)
    }
}

/// Builds a [`J::Obj`] with its members in the order written.
macro_rules! obj {
    ($($member:tt)*) => {
        $crate::cin7::json::J::Obj($crate::cin7::json::fields!($($member)*))
    };
}
pub(crate) use obj;

/// Builds the members of an object in the order written.
macro_rules! fields {
    ($($key:literal : $value:expr),* $(,)?) => {
        vec![$(($key, $crate::cin7::json::J::from($value))),*]
    };
}
pub(crate) use fields;
