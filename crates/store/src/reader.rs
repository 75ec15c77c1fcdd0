//! The SQL door: queries of users under a role that can only read.
