//! The crate from outside: worked examples, properties, forms.

mod build;
mod exactness;
mod oracle;
mod properties;
mod tape;
mod worked_examples;
