//! A redis-server of a test's own, on a socket in a directory of its own.

use std::{
    os::unix::net::UnixStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const POLL: Duration = Duration::from_millis(5);

pub struct Redis {
    dir: tempfile::TempDir,
    child: Child,
}

impl Redis {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no"])
            .args(["--loglevel", "warning", "--unixsocket"])
            .arg(dir.path().join("redis.sock"))
            .arg("--dir")
            .arg(dir.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("this test needs redis-server: run scripts/setup test");
        let redis = Self { dir, child };
        let deadline = Instant::now() + Duration::from_secs(30);
        while UnixStream::connect(redis.socket()).is_err() {
            assert!(
                Instant::now() < deadline,
                "redis-server did not answer within 30 s"
            );
            std::thread::sleep(POLL);
        }
        redis
    }

    pub fn socket(&self) -> std::path::PathBuf {
        self.dir.path().join("redis.sock")
    }

    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// What redis-cli prints for a command, line by line.
    pub fn run(&self, words: &[&str]) -> Vec<String> {
        let done = Command::new("redis-cli")
            .arg("-s")
            .arg(self.socket())
            .args(words)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stdout);
        // An empty answer is printed as an empty line.
        let lines = said.lines().filter(|line| !line.is_empty());
        lines.map(str::to_owned).collect()
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Fails when there is a key that would stay for ever.
    pub fn assert_all_expire(&self) {
        for key in self.run(&["KEYS", "*"]) {
            let left: i64 = self.run(&["PTTL", &key])[0].parse().unwrap();
            // -2: it expired since it was listed.
            assert!(left > 0 || left == -2, "{key} has no expiry");
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.assert_all_expire();
        }
        self.kill();
    }
}
