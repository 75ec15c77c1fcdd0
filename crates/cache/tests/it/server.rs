//! A redis-server of a test's own, on a socket in a directory of its own.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis::{Client, FromRedisValue, aio::MultiplexedConnection};
use tempfile::TempDir;

/// How often a condition is looked at.
pub const POLL: Duration = Duration::from_millis(2);

pub struct Server {
    dir: TempDir,
    args: Vec<String>,
    child: Option<Child>,
}

impl Server {
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub async fn start_with(args: &[&str]) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("cache-it")
            .tempdir()
            .unwrap();
        let args = args.iter().map(|&arg| arg.to_owned()).collect();
        let mut server = Self {
            dir,
            args,
            child: None,
        };
        server.up().await;
        server
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("redis.sock")
    }

    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// Starts the server again after [`Server::kill`], on the same socket and data.
    pub async fn up(&mut self) {
        let binary = ["redis-server", "valkey-server"]
            .into_iter()
            .find(|name| {
                Command::new(name)
                    .arg("--version")
                    .stdout(Stdio::null())
                    .status()
                    .is_ok()
            })
            .expect("these tests need redis-server or valkey-server: run scripts/setup test");
        let child = Command::new(binary)
            .args(["--port", "0", "--unixsocket"])
            .arg(self.socket())
            .args([
                "--save",
                "",
                "--appendonly",
                "no",
                "--loglevel",
                "warning",
                "--dir",
            ])
            .arg(self.dir.path())
            .args(&self.args)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.try_connect().await.is_err() {
            assert!(
                Instant::now() < deadline,
                "redis-server did not answer within 10 s"
            );
            tokio::time::sleep(POLL).await;
        }
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    async fn try_connect(&self) -> redis::RedisResult<MultiplexedConnection> {
        let client = Client::open(self.url())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        redis::cmd("PING")
            .query_async::<String>(&mut connection)
            .await
            .or_else(|error| {
                if error.code() == Some("NOAUTH") {
                    Ok(String::new())
                } else {
                    Err(error)
                }
            })?;
        Ok(connection)
    }

    /// Runs a command over a connection of its own.
    pub async fn run<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let mut connection = self.try_connect().await.unwrap();
        let mut command = redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(*word);
        }
        command.query_async(&mut connection).await.unwrap()
    }

    /// Every key but the probe's, sorted.
    pub async fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.run(&["KEYS", "*"]).await;
        keys.retain(|key| !key.ends_with(":probe"));
        keys.sort();
        keys
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
