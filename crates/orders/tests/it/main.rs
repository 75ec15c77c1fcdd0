//! The crate from outside: worked examples, properties, forms.

mod build;
mod worked_examples;
