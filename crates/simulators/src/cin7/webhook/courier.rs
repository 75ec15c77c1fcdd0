//! Delivers what is due, and gives up on who never answers.

use super::*;

/// One letter on its way.
struct Letter {
    account: usize,
    hook: Hook,
    attempt: usize,
    body: Vec<u8>,
}

/// Delivers what is due until the simulator stops.
pub(in crate::cin7) async fn courier(service: Arc<Service>) {
    // Another crate may have chosen the provider already, which is just as good.
    drop(rustls::crypto::ring::default_provider().install_default());
    let Ok(client) = reqwest::Client::builder()
        .timeout(ANSWER_WAIT_MAX)
        .no_proxy()
        .build()
    else {
        return;
    };
    loop {
        let moved = service.clock.moved();
        tokio::pin!(moved);
        // Registered before looking, so that a push between looking and waiting is not missed.
        moved.as_mut().enable();
        for letter in due(&service) {
            let strike = service.faults.next_event();
            if strike.drop {
                continue;
            }
            if let Some(hold) = strike.hold {
                tokio::spawn(late(service.clone(), client.clone(), letter, hold));
                continue;
            }
            if strike.twice && attempt(&service, &client, &letter).await.is_none() {
                return;
            }
            match attempt(&service, &client, &letter).await {
                Some(delivered) => settle(&service, letter, delivered),
                None => return,
            }
        }
        let idle = (0..service.worlds.len()).all(|at| !service.read(at).hooks.has_due());
        tokio::select! {
            () = service.stop.cancelled() => return,
            () = moved => {}
            () = service.post.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY), if !idle => {}
        }
    }
}

/// Sends a letter after others have overtaken it.
async fn late(service: Arc<Service>, client: reqwest::Client, letter: Letter, hold: Duration) {
    tokio::select! {
        () = service.stop.cancelled() => return,
        () = tokio::time::sleep(hold) => {}
    }
    if let Some(delivered) = attempt(&service, &client, &letter).await {
        settle(&service, letter, delivered);
    }
}

/// Whether a letter arrived; `None` when the simulator stops meanwhile.
async fn attempt(service: &Service, client: &reqwest::Client, letter: &Letter) -> Option<bool> {
    tokio::select! {
        delivered = send(client, letter) => Some(delivered),
        () = service.stop.cancelled() => None,
    }
}

/// Takes everything that is due out of the queues.
fn due(service: &Service) -> Vec<Letter> {
    let now = service.clock.now();
    let mut letters = vec![];
    for account in 0..service.worlds.len() {
        if !service
            .read(account)
            .hooks
            .waiting
            .iter()
            .any(|delivery| delivery.due <= now)
        {
            continue;
        }
        let mut world = service.write(account);
        let hooks = &mut world.hooks;
        let (ready, later) = std::mem::take(&mut hooks.waiting)
            .into_iter()
            .partition(|d: &Delivery| d.due <= now);
        hooks.waiting = later;
        for delivery in ready {
            if let Some(hook) = hooks
                .all
                .iter()
                .find(|hook| hook.id == delivery.hook && hook.active)
            {
                letters.push(Letter {
                    account,
                    hook: hook.clone(),
                    attempt: delivery.attempt,
                    body: delivery.body,
                });
            }
        }
    }
    letters
}

async fn send(client: &reqwest::Client, letter: &Letter) -> bool {
    let hook = &letter.hook;
    let mut request = client
        .post(&hook.url)
        .header("content-type", "application/json")
        .body(letter.body.clone());
    request = match hook.auth.as_str() {
        "basicauth" => request.basic_auth(&hook.user, Some(&hook.password)),
        "bearerauth" => request.bearer_auth(&hook.bearer),
        _ => request,
    };
    for (key, value) in &hook.headers {
        request = request.header(key, value);
    }
    request
        .send()
        .await
        .is_ok_and(|answer| answer.status().is_success())
}

/// A letter that did not arrive is tried again later, or its webhook is switched off.
fn settle(service: &Service, letter: Letter, delivered: bool) {
    if delivered {
        return;
    }
    let now = service.clock.now();
    let mut world = service.write(letter.account);
    match PAUSES.get(letter.attempt) {
        Some(pause) => {
            let due = now.saturating_add(*pause).unwrap_or(Timestamp::MAX);
            let delivery = Delivery {
                hook: letter.hook.id,
                due,
                attempt: letter.attempt + 1,
                body: letter.body,
            };
            world.hooks.waiting.push(delivery);
        }
        None => {
            for hook in world
                .hooks
                .all
                .iter_mut()
                .filter(|hook| hook.id == letter.hook.id)
            {
                hook.active = false;
            }
            world
                .hooks
                .waiting
                .retain(|delivery| delivery.hook != letter.hook.id);
        }
    }
}
