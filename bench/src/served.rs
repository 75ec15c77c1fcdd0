//! `millpond serve` in a process of its own, and how it is asked.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// How long a server may take to answer for the first time.
const START_MAX: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// A process that ends with the benchmark.
pub struct Process(Child);

impl Process {
    /// Starts `program`, on one core if it is named.
    pub fn start(
        program: &Path,
        core: Option<&str>,
        prepare: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        let mut command = Command::new(core.map_or(program, |_| Path::new("taskset")));
        if let Some(core) = core {
            command.args(["-c", core]).arg(program);
        }
        prepare(&mut command);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self(child))
    }

    /// Its number.
    pub fn pid(&self) -> i32 {
        self.0.id() as i32
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Asked first: nginx and Varnish end their own children.
        let pid = self.0.id().to_string();
        let _ = Command::new("kill").arg(pid).status();
        let until = Instant::now() + Duration::from_secs(5);
        while Instant::now() < until && matches!(self.0.try_wait(), Ok(None)) {
            std::thread::sleep(POLL);
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that was free a moment ago.
pub fn port() -> Result<u16> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok(listener.local_addr()?.port())
}

/// `millpond serve` over this cache.
pub fn millpond(
    folder: &Path,
    cache: &str,
    database: &str,
    port: u16,
    core: Option<&str>,
) -> Result<Process> {
    let program = std::env::current_exe()?.with_file_name("millpond");
    ensure!(
        program.exists(),
        "{} is missing: cargo build --release -p millpond",
        program.display()
    );
    let home: PathBuf = folder.join(cache);
    std::fs::create_dir(&home)?;
    // The records live longer than the benchmark takes, as they do in the peers.
    let config = format!(
        "cache = {{ store = \"{cache}\", record_ttl = \"1h\", search_ttl = \"1h\" }}\n\
         [logs]\nfilter = \"warn\"\n\
         [[instance]]\nname = \"uk\"\nconnector = \"cin7\"\nbase_url = \"http://127.0.0.1:9\"\n\
         private_hosts = true\ncurrency = \"GBP\"\n"
    );
    std::fs::write(home.join("millpond.toml"), config)?;
    Process::start(&program, core, |command| {
        command
            .args(["serve", "--no-sync", "--listen"])
            .arg(format!("127.0.0.1:{port}"))
            .env("DATABASE_URL", database)
            .current_dir(home);
    })
}

/// Waits until somebody answers.
pub async fn answers(port: u16, path: &str, key: &str) -> Result<String> {
    let until = Instant::now() + START_MAX;
    loop {
        match get(port, path, key).await {
            Ok((200, _, body)) => return Ok(body),
            Ok((status, _, body)) if Instant::now() > until => {
                bail!("port {port} answers {path} with {status}: {body}")
            }
            Err(error) if Instant::now() > until => return Err(error),
            _ => tokio::time::sleep(POLL).await,
        }
    }
}

/// One request on a connection of its own: status, head in lower case, body.
pub async fn get(port: u16, path: &str, key: &str) -> Result<(u16, String, String)> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx-api-key: {key}\r\n\r\n"
    );
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let answer = String::from_utf8(answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("half an answer")?;
    let status = head.split(' ').nth(1).context("no status")?.parse()?;
    Ok((status, head.to_lowercase(), body.to_owned()))
}
