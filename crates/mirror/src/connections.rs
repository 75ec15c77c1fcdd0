//! Connections change while a process runs: it looks every so often, whether it works or only answers.

use std::sync::Arc;
use std::time::Duration;

use crate::account::Account;
use crate::listing::chain;
use crate::settings::SecretSource;
use crate::setup::load_connections;

/// How often connections that were added, changed or switched off are looked for.
const CONNECTIONS_EVERY: Duration = Duration::from_secs(2);

/// Keeps the connections of `account` as the database says, until dropped.
pub(crate) async fn watch_connections(account: Arc<Account>, secrets: Arc<dyn SecretSource>) {
    // Those that cannot be used were told when the mirror was opened.
    let mut told = true;
    loop {
        tokio::time::sleep(CONNECTIONS_EVERY).await;
        match load_connections(&account, &*secrets).await {
            Ok(problems) => {
                if !told {
                    for problem in &problems {
                        tracing::error!(error = chain(problem), "a connection cannot be used");
                    }
                }
                told = !problems.is_empty();
            }
            Err(error) => tracing::debug!(error = chain(&error), "connections were not read"),
        }
    }
}
