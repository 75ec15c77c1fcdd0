//! Whether values that each have the right shape hold together.

use std::path::Path;

use upstream::{Connector, connector::Problem};

use super::{
    CacheConfig, CacheStore, Config, InstanceConfig, LimitConfig, MemoryConfig, WebhooksConfig,
    chores::{CONCURRENCY_MAX, PAUSE_MAX, PER_CYCLE_MAX},
    freshness::MAX_AGE_MAX,
    place::Place,
};
use crate::connectors::load_connector;

/// The most instances of one Millpond.
const INSTANCES_MAX: usize = 1000;
/// The most connections of one instance.
const CONNECTIONS_MAX: usize = 100;
/// The most calls of a limit.
const CALLS_MAX: u32 = 1_000_000;

/// Everything that does not hold together.
pub(super) fn check(config: &Config, text: &str, base: &Path) -> Vec<Problem> {
    let mut notes = Notes {
        text,
        problems: Vec::new(),
    };
    check_tables(config, &mut notes);
    if config.instances.len() > INSTANCES_MAX {
        notes.add(
            &Place::of(&["instance"]),
            format!("there are more than {INSTANCES_MAX}"),
        );
    }
    for (n, instance) in config.instances.iter().enumerate() {
        let place = Place::of(&["instance"]).index(n);
        let before = config.instances[..n].iter();
        if before.into_iter().any(|other| other.name == instance.name) {
            notes.add(
                &place.key("name"),
                format!(
                    "there is another instance `{}`: each needs a name of its own",
                    instance.name
                ),
            );
        }
        check_instance(instance, &place, base, &mut notes);
    }
    notes.problems
}

struct Notes<'a> {
    text: &'a str,
    problems: Vec<Problem>,
}

impl Notes<'_> {
    fn add(&mut self, place: &Place, message: impl Into<String>) {
        self.problems.push(Problem {
            line: place.line(self.text).0,
            key: place.to_string(),
            message: message.into(),
        });
    }

    fn within<T: PartialOrd + std::fmt::Display>(
        &mut self,
        place: &Place,
        value: T,
        least: T,
        most: T,
    ) {
        if value < least || value > most {
            self.add(place, format!("is {value}: must be from {least} to {most}"));
        }
    }
}

fn check_tables(config: &Config, notes: &mut Notes<'_>) {
    let (server, sql) = (&config.server, &config.sql);
    let at = |table: &str, key: &str| Place::of(&[table, key]);
    notes.within(
        &at("server", "body_bytes_max"),
        server.body_bytes_max,
        1024,
        64 << 20,
    );
    let second = super::Period::secs(1);
    let hour = super::Period::secs(3600);
    notes.within(
        &at("server", "request_timeout"),
        server.request_timeout,
        second,
        hour,
    );
    notes.within(&at("server", "grace"), server.grace, second, hour);
    notes.within(&at("sql", "rows_max"), sql.rows_max, 1, 10_000_000);
    notes.within(&at("sql", "bytes_max"), sql.bytes_max, 1024, 1 << 30);
    notes.within(
        &at("sql", "cell_chars_max"),
        sql.cell_chars_max,
        16,
        1 << 30,
    );
    notes.within(&at("sql", "concurrent_max"), sql.concurrent_max, 1, 100);
    if sql.cell_chars_max > sql.bytes_max {
        notes.add(
            &at("sql", "cell_chars_max"),
            "is more than `sql.bytes_max`: one value cannot be larger than the answer",
        );
    }
    if sql.timeout > server.request_timeout {
        notes.add(
            &at("sql", "timeout"),
            format!(
                "is more than `server.request_timeout` ({}): the request would end first",
                server.request_timeout
            ),
        );
    }
    let database = &config.database;
    notes.within(
        &at("database", "connections_max"),
        database.connections_max,
        2,
        1000,
    );
    let own = [
        ("data_dir", database.data_dir.is_some()),
        ("port", database.port.is_some()),
    ];
    for (key, given) in own {
        let (_, in_file) = at("database", "url").line(notes.text);
        if given && in_file && database.url.is_some() {
            notes.add(
                &at("database", key),
                "stands beside `database.url`: it is for Millpond's own server; give one or the other",
            );
        }
    }
    notes.within(
        &at("retention", "history"),
        config.retention.history,
        hour,
        super::Period::secs(3653 * 86_400),
    );
    notes.within(
        &at("orders", "every"),
        config.orders.every,
        super::Period::secs(1),
        hour,
    );
    let least = super::Period(std::time::Duration::ZERO);
    notes.within(
        &at("sweep", "concurrency"),
        config.sweep.concurrency,
        1,
        CONCURRENCY_MAX,
    );
    notes.within(
        &at("sweep", "batch_delay"),
        config.sweep.batch_delay,
        least,
        PAUSE_MAX,
    );
    if let Some(most) = config.watch.per_cycle_max {
        notes.within(&at("watch", "per_cycle_max"), most, 1, PER_CYCLE_MAX);
    }
    if let Some(cooldown) = config.watch.cooldown {
        notes.within(&at("watch", "cooldown"), cooldown, least, PAUSE_MAX);
    }
    let freshness = &config.freshness;
    check_freshness(
        Some(freshness.max_age),
        Some(freshness.feed_share),
        &Place::of(&["freshness"]),
        notes,
    );
    let (tenth, hour) = (super::Period(std::time::Duration::from_millis(100)), hour);
    notes.within(
        &at("freshness", "feed_every_min"),
        freshness.feed_every_min,
        tenth,
        hour,
    );
    let least = super::Period(std::time::Duration::from_millis(10));
    let (patience, most) = (freshness.patience, super::Period::secs(45));
    notes.within(&at("freshness", "patience"), patience, least, most);
    check_cache(&config.cache, notes);
    check_memory(&config.memory, notes);
    check_webhooks(&config.webhooks, notes);
    if let Err(error) = tracing_subscriber::EnvFilter::try_new(&config.logs.filter) {
        notes.add(&at("logs", "filter"), format!("is no filter: {error}"));
    }
}

fn check_freshness(
    max_age: Option<super::Period>,
    feed_share: Option<f64>,
    place: &Place,
    notes: &mut Notes<'_>,
) {
    if let Some(max_age) = max_age {
        let least = super::Period::secs(1);
        notes.within(&place.key("max_age"), max_age, least, MAX_AGE_MAX);
    }
    // Also what is no number.
    if let Some(share) = feed_share.filter(|share| !(0.0..=1.0).contains(share)) {
        notes.add(
            &place.key("feed_share"),
            format!("is {share}: must be from 0 to 1"),
        );
    }
}

fn check_cache(cache: &CacheConfig, notes: &mut Notes<'_>) {
    let at = |key: &str| Place::of(&["cache", key]);
    let (second, hour) = (super::Period::secs(1), super::Period::secs(3600));
    let month = super::Period(cache::LIFE_MAX);
    notes.within(&at("memory_mib"), cache.memory_mib, 4, 1 << 20);
    notes.within(&at("probe_every"), cache.probe_every, second, hour);
    notes.within(&at("record_ttl"), cache.record_ttl, second, month);
    notes.within(&at("absent_ttl"), cache.absent_ttl, second, hour);
    notes.within(&at("search_ttl"), cache.search_ttl, second, hour);
    let is_shared = !matches!(
        cache.store,
        None | Some(CacheStore::Off | CacheStore::Memory)
    );
    for (key, set) in [("two_tier", cache.two_tier), ("cluster", cache.cluster)] {
        if set && !is_shared && cache.store.is_some() {
            notes.add(
                &at(key),
                "needs a shared store: say where it is in `cache.store`",
            );
        }
    }
    if cache.two_tier && cache.cluster {
        notes.add(
            &at("two_tier"),
            "stands beside `cluster`: copies are kept coherent over one connection, a cluster has many",
        );
    }
    if let Some(CacheStore::Url(urls)) = &cache.store
        && let Err(error) = crate::hot::redis_options(urls, cache)
    {
        notes.add(&at("store"), crate::cli::chain_of(&error));
    }
}

fn check_memory(memory: &MemoryConfig, notes: &mut Notes<'_>) {
    let at = |key: &str| Place::of(&["memory", key]);
    let (second, minute) = (super::Period::secs(1), super::Period::secs(60));
    notes.within(&at("timeout"), memory.timeout, second, minute);
    notes.within(&at("batch_max"), memory.batch_max, 1, 2048);
    if let Some(dimensions) = memory.dimensions {
        notes.within(&at("dimensions"), dimensions, 2, 16_384);
    }
    for (key, set) in [
        ("model", memory.model.is_some()),
        ("dimensions", memory.dimensions.is_some()),
    ] {
        match (memory.url.is_some(), set) {
            (true, false) => {
                notes.add(&at(key), "is missing: an embedder at `memory.url` needs it")
            }
            (false, true) => notes.add(&at(key), "needs `memory.url`, where the embedder is"),
            _ => {}
        }
    }
    if let Some(url) = &memory.url
        && !(url.starts_with("https://") || url.starts_with("http://"))
    {
        notes.add(&at("url"), "must begin with https:// or http://");
    }
    for (resource, fields) in &memory.index {
        if let Err(error) = resource.parse::<store::ResourceName>() {
            notes.add(&at("index"), error.to_string());
        }
        if fields.is_empty() {
            notes.add(&at("index"), format!("`{resource}` has no fields"));
        }
        for field in fields {
            if let Err(error) = field.parse::<memory::Field>() {
                notes.add(&at("index"), error.to_string());
            }
        }
    }
}

fn check_webhooks(webhooks: &WebhooksConfig, notes: &mut Notes<'_>) {
    let at = |key: &str| Place::of(&["webhooks", key]);
    let tenth = super::Period(std::time::Duration::from_millis(100));
    let [second, minute, hour, day] = [1, 60, 3600, 86_400].map(super::Period::secs);
    notes.within(&at("timeout"), webhooks.timeout, second, minute);
    notes.within(&at("attempts"), webhooks.attempts, 1, 100);
    let (first, max) = (webhooks.backoff_first, webhooks.backoff_max);
    notes.within(&at("backoff_first"), first, tenth, hour);
    notes.within(&at("backoff_max"), max, tenth, day);
    notes.within(&at("batch_max"), webhooks.batch_max, 1, 1000);
    if first > max {
        notes.add(
            &at("backoff_first"),
            format!("is more than `webhooks.backoff_max` ({max})"),
        );
    }
}

fn check_instance(instance: &InstanceConfig, place: &Place, base: &Path, notes: &mut Notes<'_>) {
    if !is_name(&instance.name) {
        notes.add(&place.key("name"), NAME_RULE);
    }
    for (key, currency) in [
        ("currency", &instance.currency),
        ("reporting_currency", &instance.reporting_currency),
    ] {
        if let Some(text) = currency
            && !(text.len() == 3 && text.bytes().all(|b| b.is_ascii_uppercase()))
        {
            notes.add(
                &place.key(key),
                "must be three capital letters, such as \"AUD\"",
            );
        }
    }
    if let Some(url) = &instance.base_url
        && !(url.starts_with("https://") || url.starts_with("http://"))
    {
        notes.add(
            &place.key("base_url"),
            "must begin with https:// or http://",
        );
    }
    if let Some(quiet) = &instance.quiet
        && !is_hours(quiet)
    {
        notes.add(
            &place.key("quiet"),
            "must be hours in UTC, such as \"22:00-06:00\"",
        );
    }
    if let Some(timeout) = instance.timeout {
        let (least, most) = (super::Period::secs(1), super::Period::secs(600));
        notes.within(&place.key("timeout"), timeout, least, most);
    }
    if let Some(concurrency) = instance.concurrency {
        notes.within(&place.key("concurrency"), concurrency, 1, 1000);
    }
    check_limit(instance.limit, &place.key("limit"), notes);
    if let Some(own) = instance.freshness {
        check_freshness(own.max_age, own.feed_share, &place.key("freshness"), notes);
    }
    if instance.resources.is_some() && instance.except.is_some() {
        notes.add(
            &place.key("except"),
            "stands beside `resources`: give one or the other",
        );
    }
    let connector = match load_connector(&instance.connector, base) {
        Ok(connector) => connector,
        Err(error) => {
            notes.add(&place.key("connector"), error.to_string());
            return;
        }
    };
    check_resources(instance, &connector, place, notes);
    check_connections(instance, &connector, place, notes);
}

fn check_resources(
    instance: &InstanceConfig,
    connector: &Connector,
    place: &Place,
    notes: &mut Notes<'_>,
) {
    let known: Vec<&str> = connector
        .resources
        .iter()
        .map(|r| r.name.as_str())
        .collect();
    let mut expect = |place: Place, name: &str| {
        if !known.contains(&name) {
            notes.add(
                &place,
                format!(
                    "`{name}` is no resource of `{}`. Resources: {}",
                    connector.name,
                    known.join(", ")
                ),
            );
        }
    };
    for (key, names) in [
        ("resources", &instance.resources),
        ("except", &instance.except),
    ] {
        for (n, name) in names.iter().flatten().enumerate() {
            expect(place.key(key).index(n), name);
        }
    }
    for (n, schedule) in instance.schedules.iter().enumerate() {
        let place = place.key("schedule").index(n);
        let is_chore = connector.chores().any(|name| name == schedule.resource);
        if !is_chore {
            expect(place.key("resource"), &schedule.resource);
        }
    }
    for (n, schedule) in instance.schedules.iter().enumerate() {
        let place = place.key("schedule").index(n);
        let (least, most) = (super::Period::secs(1), super::Period::secs(366 * 86_400));
        notes.within(&place.key("every"), schedule.every, least, most);
        let twin = |other: &super::ScheduleConfig| {
            other.resource == schedule.resource && other.kind == schedule.kind
        };
        if instance.schedules[..n].iter().any(twin) {
            notes.add(&place, "there is another schedule for this job");
        }
    }
}

fn check_connections(
    instance: &InstanceConfig,
    connector: &Connector,
    place: &Place,
    notes: &mut Notes<'_>,
) {
    let wanted = connector.secret_names();
    if instance.connections.len() > CONNECTIONS_MAX {
        notes.add(
            &place.key("connection"),
            format!("there are more than {CONNECTIONS_MAX}"),
        );
    }
    for (n, connection) in instance.connections.iter().enumerate() {
        let place = place.key("connection").index(n);
        if !is_name(&connection.name) {
            notes.add(&place.key("name"), NAME_RULE);
        }
        let before = &instance.connections[..n];
        if before.iter().any(|other| other.name == connection.name) {
            notes.add(
                &place.key("name"),
                format!(
                    "there is another connection `{}` of this instance",
                    connection.name
                ),
            );
        }
        for name in &wanted {
            if !connection.secrets.contains_key(*name) {
                notes.add(
                    &place.key("secrets"),
                    format!(
                        "`{name}` is missing. `{}` needs: {}",
                        connector.name,
                        wanted.join(", ")
                    ),
                );
            }
        }
        for name in connection.secrets.keys() {
            if !wanted.contains(&name.as_str()) {
                notes.add(
                    &place.key("secrets"),
                    format!(
                        "`{name}` is no secret of `{}`. It needs: {}",
                        connector.name,
                        wanted.join(", ")
                    ),
                );
            }
        }
        if let Some(share) = connection.share
            && !(share > 0.0 && share <= 1.0)
        {
            notes.add(
                &place.key("share"),
                format!("is {share}: must be above 0 and at most 1"),
            );
        }
        check_limit(connection.limit, &place.key("limit"), notes);
    }
}

fn check_limit(limit: Option<LimitConfig>, place: &Place, notes: &mut Notes<'_>) {
    if let Some(limit) = limit {
        notes.within(&place.key("calls"), limit.calls, 1, CALLS_MAX);
        let (least, most) = (
            super::Period(std::time::Duration::from_millis(10)),
            super::Period::secs(86_400),
        );
        notes.within(&place.key("per"), limit.per, least, most);
    }
}

const NAME_RULE: &str =
    "must be a lower-case letter followed by at most 62 lower-case letters, digits or `-`";

fn is_name(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Whether `text` is `HH:MM-HH:MM`.
pub(crate) fn is_hours(text: &str) -> bool {
    let is_time = |time: &str| {
        time.split_once(':').is_some_and(|(hour, minute)| {
            let number = |text: &str, below: u32| {
                text.len() == 2 && text.parse::<u32>().is_ok_and(|number| number < below)
            };
            number(hour, 24) && number(minute, 60)
        })
    };
    text.split_once('-')
        .is_some_and(|(from, to)| is_time(from) && is_time(to) && from != to)
}
