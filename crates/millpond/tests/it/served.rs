//! `millpond serve` as a process of its own. It does not outlive its test.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::world::{Reply, send_to};

const POLL: Duration = Duration::from_millis(20);
const DEADLINE: Duration = Duration::from_secs(60);

pub struct Served {
    child: Child,
    pub address: SocketAddr,
}

impl Served {
    /// Starts it in a folder with its `millpond.toml`.
    pub fn start(database: &str, folder: &Path, environment: &[(&str, &str)]) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = port.local_addr().unwrap();
        drop(port);
        let child = Command::new(env!("CARGO_BIN_EXE_millpond"))
            .args(["serve", "--no-sync", "--listen", &address.to_string()])
            .env_clear()
            .env("DATABASE_URL", database)
            .envs(environment.iter().copied())
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, address }
    }

    /// Waits until it listens.
    pub async fn up(&self) {
        let deadline = Instant::now() + DEADLINE;
        while tokio::net::TcpStream::connect(self.address).await.is_err() {
            assert!(Instant::now() < deadline, "the server did not come up");
            tokio::time::sleep(POLL).await;
        }
    }

    pub fn signal(&self, signal: &str) {
        let process = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &process]).status();
        assert!(sent.unwrap().success());
    }

    pub async fn ask(&self, key: &str, method: &str, path: &str) -> Reply {
        send_to(self.address, method, path, &[("x-api-key", key)], None).await
    }

    pub async fn status(&self, key: &str, method: &str, path: &str) -> u16 {
        self.ask(key, method, path).await.status
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
