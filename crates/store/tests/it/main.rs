//! What `store` does, seen from outside, on a real PostgreSQL.

mod private;
mod reader;
mod testing;
