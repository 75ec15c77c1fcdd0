//! A fresh, migrated database for every test.
