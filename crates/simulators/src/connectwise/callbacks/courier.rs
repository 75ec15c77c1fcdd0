//! Carries letters to their receivers, several at a time, and never makes the service wait.

use super::settle;
use crate::connectwise::server::Service;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac};
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};

/// Most deliveries under way at once; others wait in the queue.
const UNDER_WAY_MAX: usize = 32;
/// The only answers after which a delivery is tried again.
const AGAIN: [u16; 4] = [404, 409, 419, 429];

/// One callback on its way.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub entry: i64,
    pub url: String,
    pub body: Vec<u8>,
    pub key: String,
    pub attempt: usize,
}

/// Delivers what comes in until the simulator stops.
pub(in crate::connectwise) async fn courier(
    service: Arc<Service>,
    mut post: mpsc::Receiver<Letter>,
) {
    // Another crate may have chosen the provider already, which is just as good.
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder()
        .timeout(service.options.callback_wait_max)
        .no_proxy()
        .build();
    let Ok(client) = client else {
        return;
    };
    let room = Arc::new(Semaphore::new(UNDER_WAY_MAX));
    loop {
        let letter = tokio::select! {
            () = service.stop.cancelled() => return,
            letter = post.recv() => letter,
        };
        let Some(letter) = letter else {
            return;
        };
        let strike = service.faults.next_event();
        if strike.drop {
            continue;
        }
        for _ in 0..1 + usize::from(strike.twice) {
            let Ok(permit) = room.clone().acquire_owned().await else {
                return;
            };
            let (service, client, letter) = (service.clone(), client.clone(), letter.clone());
            tokio::spawn(async move {
                let stop = service.stop.clone();
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = async {
                        if let Some(hold) = strike.hold {
                            tokio::time::sleep(hold).await;
                        }
                        deliver(&service, &client, letter).await;
                    } => {}
                }
                drop(permit);
            });
        }
    }
}

async fn deliver(service: &Service, client: &reqwest::Client, mut letter: Letter) {
    loop {
        let sent = client
            .post(&letter.url)
            .header("content-type", "application/json")
            .header("x-content-signature", signature(&letter.key, &letter.body))
            .body(letter.body.clone())
            .send()
            .await;
        let status = sent.map_or(0, |answer| answer.status().as_u16());
        let delivered = (200..300).contains(&status);
        let pause = service.options.callback_pauses.get(letter.attempt);
        match pause.filter(|_| AGAIN.contains(&status)) {
            Some(pause) => {
                letter.attempt += 1;
                tokio::time::sleep(*pause).await;
            }
            None => {
                settle(&mut service.write(), letter.entry, delivered);
                return;
            }
        }
    }
}

/// Base64 of the HMAC-SHA256 of the body, keyed with the SHA-256 of the signing key's text.
fn signature(key: &str, body: &[u8]) -> String {
    let key = digest::digest(&digest::SHA256, key.as_bytes());
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_ref());
    STANDARD.encode(hmac::sign(&key, body))
}
