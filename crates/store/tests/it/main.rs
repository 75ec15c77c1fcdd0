//! What `store` does, seen from outside, on a real PostgreSQL.

mod budget;
mod private;
mod reader;
mod records;
mod testing;
