//! The SQL door: queries of users under a role that can only read.

/// The name of the role that reads `database`: roles belong to the whole server, so each database has its own.
pub fn role_of(database: &str) -> String {
    if database == "millpond" {
        "millpond_reader".to_owned()
    } else {
        format!("millpond_reader_{database}")
    }
}
