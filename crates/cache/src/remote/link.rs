//! One live connection to the shared store, and the few things we say over it.

use std::future::Future;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::cluster_async::ClusterConnection;
use redis::{AsyncConnectionConfig, Cmd, FromRedisValue, PushInfo, RedisError, Script, Value, cmd};

use super::options::RedisOptions;
use crate::entry::HEADER_BYTES;
use crate::outbox::Position;

/// Commands that may wait for their turn on the one connection.
const QUEUE_MAX: usize = 4096;
/// How long a failed load shows to other processes that wait for it; several of their looks.
const FAILURE_SHOWN: Duration = Duration::from_millis(150);
/// Keys removed by one command round.
const DELETE_BATCH: usize = 512;

/// Gives the value, grants the lease, says that somebody holds it, or tells those who waited that the
/// holder failed. A value whose header the caller
/// has seen and cannot use counts as absent.
static ACQUIRE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local value = redis.pcall('GET', KEYS[1])
        if type(value) == 'table' then
            redis.call('DEL', KEYS[1])
            value = false
        end
        if value and ARGV[3] ~= '' and string.sub(value, 1, 44) == ARGV[3] then
            if ARGV[4] == 'delete' then redis.call('DEL', KEYS[1]) end
            value = false
        end
        if value and ARGV[4] ~= 'force' then return value end
        local lease = redis.call('GET', KEYS[2])
        if lease and lease ~= '!' then return 0 end
        if lease and ARGV[4] == 'wait' then return 2 end
        redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
        return 1",
    )
});

/// A lease is its holder's token, 16 digits, and after a `>` the version that its value must have at least.
///
/// Writes the value if the lease is still the writer's, and the value not overtaken.
static FILL: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local lease = redis.call('GET', KEYS[2])
        if not lease or string.sub(lease, 1, 16) ~= ARGV[1] then return 0 end
        local least = tonumber(string.sub(lease, 18))
        if least and tonumber(ARGV[4]) < least then
            redis.call('DEL', KEYS[1], KEYS[2])
            return 0
        end
        redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
        redis.call('DEL', KEYS[2])
        return 1",
    )
});

/// Gives the lease back, saying whether it was still held. A failure is left there for a moment, for
/// those who wait.
static RELEASE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local lease = redis.call('GET', KEYS[2])
        if not lease or string.sub(lease, 1, 16) ~= ARGV[1] then return 0 end
        if ARGV[2] == 'failed' then
            redis.call('SET', KEYS[2], '!', 'PX', ARGV[3])
        else
            redis.call('DEL', KEYS[1], KEYS[2])
        end
        return 1",
    )
});

static RENEW: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local lease = redis.call('GET', KEYS[1])
        if not lease or string.sub(lease, 1, 16) ~= ARGV[1] then return 0 end
        return redis.call('PEXPIRE', KEYS[1], ARGV[2])",
    )
});

/// Removes a value older than a version. Whoever is filling it may have read that version already: the lease stays, and
/// says what is asked of it. A failure that is shown there says nothing any more.
static OVERTAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local version = tonumber(ARGV[1])
        local head = redis.pcall('GETRANGE', KEYS[1], 0, 43)
        if type(head) == 'string' and #head == 44
            and struct.unpack('<I8', string.sub(head, 29, 36)) >= version then return 0 end
        redis.call('DEL', KEYS[1])
        local lease = redis.call('GET', KEYS[2])
        if not lease then return 1 end
        local left = redis.call('PTTL', KEYS[2])
        if lease == '!' or left <= 0 then
            redis.call('DEL', KEYS[2])
            return 1
        end
        local least = tonumber(string.sub(lease, 18)) or 0
        if least < version then
            redis.call('SET', KEYS[2], string.sub(lease, 1, 16) .. '>' .. ARGV[1], 'PX', left)
        end
        return 1",
    )
});

/// Moves a cursor forward, never back.
static ADVANCE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local known = redis.call('GET', KEYS[1]) or ''
        local tx, seq = string.match(known, '^(%d+)-(%d+)$')
        local to, at = tonumber(ARGV[1]), tonumber(ARGV[2])
        if tx and (tonumber(tx) > to or (tonumber(tx) == to and tonumber(seq) > at)) then
            redis.call('PEXPIRE', KEYS[1], ARGV[3])
            return 0
        end
        redis.call('SET', KEYS[1], ARGV[1] .. '-' .. ARGV[2], 'PX', ARGV[3])
        return 1",
    )
});

/// Removes every key of a build on one node of a cluster.
const SWEEP: &str = r"
    local cursor = '0'
    repeat
        local page = redis.call('SCAN', cursor, 'MATCH', ARGV[1], 'COUNT', 1000)
        cursor = page[1]
        for _, key in ipairs(page[2]) do redis.call('DEL', key) end
    until cursor == '0'
    return 1";

/// Called for every key that changed under us; `None` when all did.
pub(crate) type OnPush = Arc<dyn Fn(Option<&str>) + Send + Sync>;

/// What `ACQUIRE` said.
pub(crate) enum Acquired {
    Value(Bytes),
    Granted,
    Held,
    /// Whoever held it failed a moment ago.
    Failed,
}

/// How a lease is given back without a value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Release {
    /// The value is not to be kept, nor is its predecessor.
    Drop,
    /// There is no new value.
    Failed,
}

/// What a plain read said.
pub(crate) enum Got {
    Value(Bytes),
    Nothing,
    /// The key holds something that is no string.
    WrongType,
}

#[derive(Clone)]
enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

macro_rules! over {
    ($link:expr, $connection:ident => $body:expr) => {
        match $link.connection.clone() {
            Connection::Single(mut $connection) => $body,
            Connection::Cluster(mut $connection) => $body,
        }
    };
}

/// One connection; dropping it closes it.
pub(crate) struct Link {
    connection: Connection,
    /// Tells an answer of this connection from one of the connection before.
    pub generation: u64,
}

impl Link {
    /// Connects and logs in. With `on_push`, asks to be told of every change under `prefixes`.
    pub async fn connect(
        options: &RedisOptions,
        generation: u64,
        tracking: Option<(OnPush, Vec<String>)>,
    ) -> Result<Self, RedisError> {
        if options.cluster {
            let client = redis::cluster::ClusterClient::builder(options.nodes.clone())
                .use_protocol(redis::ProtocolVersion::RESP3)
                .retries(2)
                .connection_timeout(options.wait_max)
                .response_timeout(options.wait_max)
                .build()?;
            let connection = Connection::Cluster(client.get_async_connection().await?);
            return Ok(Self {
                connection,
                generation,
            });
        }
        let mut config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(options.wait_max))
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUEUE_MAX);
        let prefixes = match tracking {
            Some((on_push, prefixes)) => {
                config = config.set_push_sender(move |push: PushInfo| -> Result<(), ()> {
                    deliver(&on_push, &push);
                    Ok(())
                });
                prefixes
            }
            None => Vec::new(),
        };
        let client = redis::Client::open(options.nodes[0].clone())?;
        let connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        let link = Self {
            connection: Connection::Single(connection),
            generation,
        };
        if !prefixes.is_empty() {
            let mut track = cmd("CLIENT");
            track.arg("TRACKING").arg("ON").arg("BCAST").arg("NOLOOP");
            for prefix in &prefixes {
                track.arg("PREFIX").arg(prefix);
            }
            link.ask::<Value>(&track).await?;
        }
        Ok(link)
    }

    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisError> {
        over!(self, connection => command.query_async(&mut connection).await)
    }

    pub async fn get(&self, key: &str) -> Result<Got, RedisError> {
        match self.ask::<Value>(cmd("GET").arg(key)).await {
            Ok(Value::BulkString(bytes)) => Ok(Got::Value(Bytes::from(bytes))),
            Ok(Value::Nil) => Ok(Got::Nothing),
            Ok(_) => Err(unexpected("GET")),
            Err(error) if error.code() == Some("WRONGTYPE") => Ok(Got::WrongType),
            Err(error) => Err(error),
        }
    }

    /// The headers of what lies under `keys`, in their order: one round trip, or one per key and all at
    /// once in a cluster. What is missing or no text has an empty one.
    pub async fn headers(&self, keys: &[&str]) -> Result<Vec<Bytes>, RedisError> {
        let ask = |key: &str| {
            let mut command = cmd("GETRANGE");
            command.arg(key).arg(0).arg(HEADER_BYTES - 1);
            command
        };
        let answers: Vec<Result<Value, RedisError>> = match self.connection.clone() {
            Connection::Single(mut connection) => {
                let mut pipe = redis::pipe();
                for key in keys {
                    pipe.add_command(ask(key));
                }
                pipe.ignore_errors().query_async(&mut connection).await?
            }
            Connection::Cluster(connection) => {
                let each = keys.iter().map(|key| {
                    let mut connection = connection.clone();
                    async move { ask(key).query_async(&mut connection).await }
                });
                futures::future::join_all(each).await
            }
        };
        if answers.len() != keys.len() {
            return Err(unexpected("GETRANGE"));
        }
        let header = |answer| match answer {
            Ok(Value::BulkString(bytes)) => Ok(Bytes::from(bytes)),
            Ok(_) => Err(unexpected("GETRANGE")),
            Err(error) if RedisError::code(&error) == Some("WRONGTYPE") => Ok(Bytes::new()),
            Err(error) => Err(error),
        };
        answers.into_iter().map(header).collect()
    }

    pub async fn acquire(
        &self,
        key: &str,
        token: &str,
        lease: Duration,
        seen: &[u8],
        mode: &str,
    ) -> Result<Acquired, RedisError> {
        let mut call = ACQUIRE.key(key);
        call.key(lease_key(key))
            .arg(token)
            .arg(px(lease))
            .arg(seen)
            .arg(mode);
        match over!(self, connection => call.invoke_async::<Value>(&mut connection).await)? {
            Value::BulkString(bytes) => Ok(Acquired::Value(Bytes::from(bytes))),
            Value::Int(1) => Ok(Acquired::Granted),
            Value::Int(0) => Ok(Acquired::Held),
            Value::Int(2) => Ok(Acquired::Failed),
            _ => Err(unexpected("the lease script")),
        }
    }

    pub async fn fill(
        &self,
        key: &str,
        token: &str,
        entry: &[u8],
        version: u64,
        life: Duration,
    ) -> Result<bool, RedisError> {
        let mut call = FILL.key(key);
        call.key(lease_key(key))
            .arg(token)
            .arg(entry)
            .arg(px(life))
            .arg(version);
        over!(self, connection => call.invoke_async(&mut connection).await)
    }

    pub async fn release(&self, key: &str, token: &str, how: Release) -> Result<bool, RedisError> {
        let mut call = RELEASE.key(key);
        let how = match how {
            Release::Drop => "drop",
            Release::Failed => "failed",
        };
        call.key(lease_key(key))
            .arg(token)
            .arg(how)
            .arg(px(FAILURE_SHOWN));
        over!(self, connection => call.invoke_async(&mut connection).await)
    }

    pub async fn renew(&self, key: &str, token: &str, lease: Duration) -> Result<bool, RedisError> {
        let mut call = RENEW.key(lease_key(key));
        call.arg(token).arg(px(lease));
        over!(self, connection => call.invoke_async(&mut connection).await)
    }

    /// Removes keys and the leases of whoever is filling them. Each key atomically.
    pub async fn delete(&self, keys: &[String], patience: Duration) -> Result<(), RedisError> {
        for batch in keys.chunks(DELETE_BATCH) {
            let all = futures::future::try_join_all(batch.iter().map(|key| async move {
                self.ask::<Value>(cmd("DEL").arg(key).arg(lease_key(key)))
                    .await
                    .map(drop)
            }));
            within(patience, all).await?;
        }
        Ok(())
    }

    /// Removes keys whose values are older than a version; with version 0 whatever they are. Each key atomically.
    pub async fn overtake(
        &self,
        keys: &[(String, u64)],
        patience: Duration,
    ) -> Result<(), RedisError> {
        for batch in keys.chunks(DELETE_BATCH) {
            let all = futures::future::try_join_all(batch.iter().map(|(key, version)| async move {
                if *version == 0 {
                    let mut delete = cmd("DEL");
                    return self
                        .ask::<Value>(delete.arg(key).arg(lease_key(key)))
                        .await
                        .map(drop);
                }
                let mut call = OVERTAKE.key(key);
                call.key(lease_key(key)).arg(*version);
                over!(self, connection => call.invoke_async::<Value>(&mut connection).await.map(drop))
            }));
            within(patience, all).await?;
        }
        Ok(())
    }

    /// Removes every key under `prefix`.
    pub async fn sweep(&self, prefix: &str) -> Result<(), RedisError> {
        let pattern = format!("{prefix}*");
        match self.connection.clone() {
            Connection::Single(mut connection) => {
                let mut cursor = String::from("0");
                loop {
                    let (next, keys): (String, Vec<String>) = cmd("SCAN")
                        .arg(&cursor)
                        .arg("MATCH")
                        .arg(&pattern)
                        .arg("COUNT")
                        .arg(1000)
                        .query_async(&mut connection)
                        .await?;
                    if !keys.is_empty() {
                        cmd("UNLINK")
                            .arg(&keys)
                            .query_async::<Value>(&mut connection)
                            .await?;
                    }
                    if next == "0" {
                        return Ok(());
                    }
                    cursor = next;
                }
            }
            Connection::Cluster(mut connection) => {
                use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo};
                let mut load = cmd("EVAL");
                load.arg(SWEEP).arg(0).arg(&pattern);
                let everywhere =
                    RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
                connection.route_command(load, everywhere).await.map(drop)
            }
        }
    }

    pub async fn ping(&self) -> Result<(), RedisError> {
        self.ask::<Value>(&cmd("PING")).await.map(drop)
    }

    /// Whether the store takes writes: a replica that nobody promoted does not.
    pub async fn probe(&self, key: &str) -> Result<(), RedisError> {
        let written = self
            .ask::<Value>(cmd("SET").arg(key).arg("1").arg("PX").arg(1000))
            .await;
        match written {
            // A full store still reads and deletes.
            Err(error) if is_full(&error) => Ok(()),
            other => other.map(drop),
        }
    }

    /// Up to where the store has seen the outbox; `None` when it does not say.
    pub async fn cursor(&self, key: &str) -> Result<Option<Position>, RedisError> {
        let known: Option<String> = self.ask(cmd("GET").arg(key)).await?;
        Ok(known.and_then(|text| text.parse().ok()))
    }

    pub async fn advance(&self, key: &str, to: Position, life: Duration) -> Result<(), RedisError> {
        let mut call = ADVANCE.key(key);
        call.arg(to.tx).arg(to.seq).arg(px(life));
        over!(self, connection => call.invoke_async::<Value>(&mut connection).await.map(drop))
    }
}

/// Runs `work` for at most `patience`.
pub(crate) async fn within<T>(
    patience: Duration,
    work: impl Future<Output = Result<T, RedisError>>,
) -> Result<T, RedisError> {
    match tokio::time::timeout(patience, work).await {
        Ok(done) => done,
        Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
    }
}

/// Whether the store refused a write for lack of memory, and nothing else is wrong.
pub(crate) fn is_full(error: &RedisError) -> bool {
    error.code() == Some("OOM") || error.detail().is_some_and(|text| text.contains("OOM "))
}

/// The lease lies in the slot of its value: the braces make a cluster hash the value's key.
fn lease_key(key: &str) -> String {
    let schema = key.split(':').next().unwrap_or_default();
    format!("{schema}:lease:{{{key}}}")
}

fn px(life: Duration) -> u64 {
    (life.as_millis() as u64).max(1)
}

fn unexpected(what: &'static str) -> RedisError {
    (
        redis::ErrorKind::UnexpectedReturnType,
        "the store answered what cannot be",
        what.to_owned(),
    )
        .into()
}

fn deliver(on_push: &OnPush, push: &PushInfo) {
    match push.kind {
        redis::PushKind::Invalidate => match push.data.first() {
            Some(Value::Array(keys)) => {
                for key in keys {
                    match key {
                        Value::BulkString(key) => match std::str::from_utf8(key) {
                            Ok(key) => on_push(Some(key)),
                            Err(_) => on_push(None),
                        },
                        Value::SimpleString(key) => on_push(Some(key)),
                        _ => on_push(None),
                    }
                }
            }
            // No list means that the whole store was emptied.
            _ => on_push(None),
        },
        redis::PushKind::Disconnection => on_push(None),
        _ => {}
    }
}
