//! The crate from outside: worked examples, properties, forms.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod build;
mod exactness;
mod forms;
mod judge;
mod oracle;
mod properties;
mod starvation;
mod tape;
mod worked_examples;
