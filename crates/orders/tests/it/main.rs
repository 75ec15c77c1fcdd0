//! The crate from outside: worked examples, properties, forms.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod build;
mod exactness;
mod oracle;
mod properties;
mod tape;
mod worked_examples;
