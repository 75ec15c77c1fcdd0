//! Webhooks: what changes in the mirror is posted to addresses that tenants and operators name, signed, in order, at
//! least once. The other way round, what upstreams post to Millpond, is `http::hooks`.

mod deliver;
mod envelope;
mod retry;

use std::{fmt, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde::Serialize;
use store::{
    ResourceName, Store, StoreError,
    changes::{BadCursor, ChangeCursor},
    webhooks::{NewWebhook, SigningKey, Webhook, WebhookChange},
};
use upstream::{Courier, SettingsError};

use crate::config::WebhooksConfig;

/// What every secret begins with, as the Standard Webhooks specification wants it.
const SECRET_PREFIX: &str = "whsec_";
/// The most bytes of an address.
const URL_BYTES_MAX: usize = 2000;
/// The most resources, and the most instances, that a webhook names.
const NAMES_MAX: usize = 100;
/// The most letters of a name.
const NAME_CHARS_MAX: usize = 64;
/// So much longer than an attempt may take, a webhook is nobody else's.
const LEASE_MARGIN: Duration = Duration::from_secs(10);

/// What deliveries are signed with, right after it was made. It cannot be had again.
#[derive(Clone, Serialize)]
pub struct WebhookSecret(String);

impl WebhookSecret {
    /// The text that receivers verify with: `whsec_…`.
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn of(key: &SigningKey) -> Self {
        Self(format!("{SECRET_PREFIX}{}", STANDARD.encode(key.expose())))
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(…)")
    }
}

/// What is to be told again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replay {
    /// One dead delivery, by its id.
    Delivery(String),
    /// All dead deliveries.
    Dead,
    /// Every change after a place in the feed, in new deliveries.
    After(ChangeCursor),
    /// Every change that came in since, in new deliveries.
    Since(Timestamp),
}

/// Why a webhook cannot be like that.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// Not a name.
    #[error(
        "`{0}` is no name of a webhook: use a-z, 0-9 and -, not - first, at most {NAME_CHARS_MAX}"
    )]
    Name(String),
    /// Not an address that can be posted to.
    #[error("`url` cannot be posted to: it {0}")]
    Url(String),
    /// A text that is no resource, or too many of them.
    #[error("`{what}`: {reason}")]
    Names {
        /// `resources` or `instances`.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Not a place in the feed.
    #[error(transparent)]
    Cursor(#[from] BadCursor),
    /// A place that the feed has not reached.
    #[error("`{0}` is beyond the end of the change feed: give a cursor that it answered")]
    Beyond(ChangeCursor),
    /// The database said no, or is away.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// All webhooks of a mirror. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Webhooks {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    courier: Courier,
    config: WebhooksConfig,
}

impl Webhooks {
    /// The webhooks in `store`, delivered as `config` says once [`Webhooks::keep`] runs somewhere.
    ///
    /// # Errors
    ///
    /// The HTTP or TLS library refused.
    pub fn new(store: Store, config: &WebhooksConfig) -> Result<Self, SettingsError> {
        let courier = Courier::new(config.private_hosts, config.timeout.0)?;
        Ok(Self {
            inner: Arc::new(Inner {
                store,
                courier,
                config: config.clone(),
            }),
        })
    }

    /// Makes a webhook; its secret is in the answer and nowhere else.
    ///
    /// # Errors
    ///
    /// See [`WebhookError`] and [`Store::create_webhook`].
    pub async fn create(&self, new: &NewWebhook) -> Result<(Webhook, WebhookSecret), WebhookError> {
        check_name(&new.name)?;
        self.check_url(&new.url)?;
        check_names("resources", new.resources.as_deref())?;
        check_names("instances", new.instances.as_deref())?;
        if let Some(place) = new.after {
            self.check_place(place).await?;
        }
        let (webhook, key) = self.inner.store.create_webhook(new).await?;
        Ok((webhook, WebhookSecret::of(&key)))
    }

    /// Changes a webhook.
    ///
    /// # Errors
    ///
    /// See [`WebhookError`] and [`Store::change_webhook`].
    pub async fn change(
        &self,
        tenant: Option<&str>,
        name: &str,
        change: &WebhookChange,
    ) -> Result<Webhook, WebhookError> {
        check_name(name)?;
        if let Some(url) = &change.url {
            self.check_url(url)?;
        }
        for (what, names) in [
            ("resources", &change.resources),
            ("instances", &change.instances),
        ] {
            check_names(what, names.as_ref().and_then(Option::as_deref))?;
        }
        Ok(self
            .inner
            .store
            .change_webhook(tenant, name, change)
            .await?)
    }

    /// Gives a webhook another secret, shown this once. For a day both sign.
    ///
    /// # Errors
    ///
    /// See [`Store::rotate_webhook`].
    pub async fn rotate(
        &self,
        tenant: Option<&str>,
        name: &str,
    ) -> Result<(Webhook, WebhookSecret), WebhookError> {
        check_name(name)?;
        let (webhook, key) = self.inner.store.rotate_webhook(tenant, name).await?;
        Ok((webhook, WebhookSecret::of(&key)))
    }

    /// One webhook.
    ///
    /// # Errors
    ///
    /// See [`Store::load_webhook`].
    pub async fn load(&self, tenant: Option<&str>, name: &str) -> Result<Webhook, WebhookError> {
        check_name(name)?;
        Ok(self.inner.store.load_webhook(tenant, name).await?)
    }

    /// Deletes a webhook with its deliveries.
    ///
    /// # Errors
    ///
    /// See [`Store::delete_webhook`].
    pub async fn delete(&self, tenant: Option<&str>, name: &str) -> Result<(), WebhookError> {
        check_name(name)?;
        Ok(self.inner.store.delete_webhook(tenant, name).await?)
    }

    /// Tells a webhook something again. Answers how many dead deliveries are on their way again.
    ///
    /// # Errors
    ///
    /// See [`WebhookError`] and [`Store::replay_dead`].
    pub async fn replay(
        &self,
        tenant: Option<&str>,
        name: &str,
        what: &Replay,
    ) -> Result<u64, WebhookError> {
        let webhook = self.load(tenant, name).await?;
        let store = &self.inner.store;
        let place = match what {
            Replay::Delivery(id) => return Ok(store.replay_dead(&webhook, Some(id)).await?),
            Replay::Dead => return Ok(store.replay_dead(&webhook, None).await?),
            Replay::After(place) => {
                self.check_place(*place).await?;
                *place
            }
            // Nothing came in before there was a mirror, and PostgreSQL knows fewer years.
            Replay::Since(since) if *since <= Timestamp::UNIX_EPOCH => ChangeCursor::default(),
            Replay::Since(since) => store.cursor_at(*since).await?,
        };
        store.replay_from(&webhook, place).await?;
        Ok(0)
    }

    fn check_url(&self, url: &str) -> Result<(), WebhookError> {
        if url.len() > URL_BYTES_MAX {
            let reason = format!("is longer than {URL_BYTES_MAX} bytes");
            return Err(WebhookError::Url(reason));
        }
        if url.chars().any(char::is_control) {
            return Err(WebhookError::Url("has control characters".to_owned()));
        }
        self.inner.courier.check(url).map_err(WebhookError::Url)
    }

    async fn check_place(&self, place: ChangeCursor) -> Result<(), WebhookError> {
        // A webhook that waits beyond the end would miss what comes in until then.
        if place
            > self
                .inner
                .store
                .newest_change()
                .await?
                .max(ChangeCursor::default())
        {
            return Err(WebhookError::Beyond(place));
        }
        Ok(())
    }
}

fn check_name(name: &str) -> Result<(), WebhookError> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_name = (1..=NAME_CHARS_MAX).contains(&name.len())
        && name.bytes().all(is_plain)
        && !name.starts_with('-');
    match is_name {
        true => Ok(()),
        false => Err(WebhookError::Name(name.chars().take(80).collect())),
    }
}

fn check_names(what: &'static str, names: Option<&[String]>) -> Result<(), WebhookError> {
    let Some(names) = names else {
        return Ok(());
    };
    let wrong = |reason: String| Err(WebhookError::Names { what, reason });
    if names.is_empty() || names.len() > NAMES_MAX {
        return wrong(format!(
            "{} names: give 1 to {NAMES_MAX}, or none at all for everything",
            names.len()
        ));
    }
    for name in names {
        if what == "resources"
            && let Err(error) = name.parse::<ResourceName>()
        {
            return wrong(error.to_string());
        }
        if name.len() > 200 || name.chars().any(char::is_control) {
            return wrong("a name has control characters or more than 200 bytes".to_owned());
        }
    }
    Ok(())
}
