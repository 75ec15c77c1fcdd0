//! A PostgreSQL server of our own, for those who have not set one up.
