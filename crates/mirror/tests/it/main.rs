//! The mirror against simulated upstreams and a real PostgreSQL.

mod house;
mod listings;
mod shelf;
mod whole;
