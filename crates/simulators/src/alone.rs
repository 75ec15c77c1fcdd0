//! What every simulator does when it runs by itself: business goes on until it is told to stop.

use std::time::Duration;

/// Calls `tick` so many times a minute, never for 0, until `stop` completes.
pub(crate) async fn play(events_per_minute: u32, stop: impl Future<Output = ()>, tick: impl Fn()) {
    tokio::pin!(stop);
    let pause = match events_per_minute {
        0 => Duration::from_secs(3600),
        n => Duration::from_secs(60) / n,
    };
    loop {
        tokio::select! {
            () = &mut stop => return,
            () = tokio::time::sleep(pause), if events_per_minute > 0 => tick(),
        }
    }
}
