//! The order to stop: Ctrl-C or SIGTERM.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that the first Ctrl-C or SIGTERM cancels. The second one ends the process at once, with code 130.
///
/// # Errors
///
/// The signals cannot be listened to.
pub fn stop_on_signals() -> std::io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    let ordered = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if ordered.is_cancelled() {
                std::process::exit(130);
            }
            tracing::info!("stopping; once more stops at once");
            ordered.cancel();
        }
    });
    Ok(stop)
}
