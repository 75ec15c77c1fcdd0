//! A redis-server of a test's own, on a socket in a directory of its own.

use std::{
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const POLL: Duration = Duration::from_millis(5);

pub struct Redis {
    dir: tempfile::TempDir,
    args: Vec<String>,
    child: Child,
}

impl Redis {
    pub fn start() -> Self {
        Self::start_with(&["--port", "0"])
    }

    pub fn start_with(args: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        let child = spawn(&dir, &args);
        Self { dir, args, child }
    }

    /// Starts it again, empty, on the same socket.
    pub fn restart(&mut self) {
        self.kill();
        self.child = spawn(&self.dir, &self.args);
    }

    pub fn socket(&self) -> PathBuf {
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
            let left = self.run(&["PTTL", &key]).concat();
            assert_ne!(left, "-1", "{key} has no expiry");
        }
    }
}

fn spawn(dir: &tempfile::TempDir, args: &[String]) -> Child {
    let socket = dir.path().join("redis.sock");
    let child = Command::new("redis-server")
        .args(["--save", "", "--appendonly", "no"])
        .args(["--loglevel", "warning", "--unixsocket"])
        .arg(&socket)
        .arg("--dir")
        .arg(dir.path())
        .args(args)
        .stdout(Stdio::null())
        .spawn()
        .expect("this test needs redis-server: run scripts/setup test");
    let deadline = Instant::now() + Duration::from_secs(30);
    while UnixStream::connect(&socket).is_err() {
        assert!(
            Instant::now() < deadline,
            "redis-server did not answer within 30 s"
        );
        std::thread::sleep(POLL);
    }
    child
}

impl Drop for Redis {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.assert_all_expire();
        }
        self.kill();
    }
}
