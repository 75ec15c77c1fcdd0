//! The start: join the users of a running server, adopt one whose keeper died, or start anew.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::net::TcpListener;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::account::Account;
use super::binaries::{self, Binaries};
use super::error::PrivateError;
use super::keeper::{self, Share, Started};
use super::layout::Layout;
use super::postmaster::{Postmaster, Status};
use super::{POLL, PrivateCluster, Settings, conf, init};

/// How often a start is tried again: a port was snatched, or the server we joined was just ending.
const TRIES_MAX: u32 = 4;
/// How often a start is tried while processes of a killed server still run.
const OLD_PROCESSES_POLL: Duration = Duration::from_millis(500);
/// How long an abandoned server is watched before it is adopted: its keeper may be about to stop it.
const ADOPT_AFTER: Duration = Duration::from_secs(2);
/// The server's log is put aside at a start when it is larger, in bytes.
const LOG_BYTES_MAX: u64 = 16 << 20;

/// Starts or joins. Blocks; bounded by `settings.start_wait_max` for each thing it waits for.
pub(super) fn start_or_join(settings: &Settings) -> Result<PrivateCluster, PrivateError> {
    let layout = Layout::new(&settings.data_dir)?;
    let account = Account::choose(settings.run_as.as_deref(), &layout.pgdata())?;
    let deadline = Instant::now() + settings.start_wait_max;
    let launch = Launch {
        settings,
        layout: &layout,
        account: &account,
        deadline,
    };
    // The usual case of the second and later users needs no lock: the pipe settles who was first.
    if let Some((server, share)) = launch.join(Dead::Leave)? {
        return Ok(launch.cluster(server, share, None));
    }
    layout.prepare(&account)?;
    let _starting = lock_start(&layout, &account, deadline, settings.start_wait_max)?;
    let mut tries = 0;
    loop {
        tries += 1;
        if let Some((server, share)) = launch.join(Dead::Revive)? {
            return Ok(launch.cluster(server, share, None));
        }
        match launch.start_fresh() {
            Ok(Some(cluster)) => return Ok(cluster),
            Ok(None) if tries < TRIES_MAX => {}
            Err(PrivateError::PortTaken { .. }) if tries < TRIES_MAX && settings.port.is_none() => {
            }
            // The last processes of a killed server are about to notice.
            Err(PrivateError::Start { said, .. })
                if said.contains("pre-existing shared memory") && Instant::now() < deadline =>
            {
                sleep(OLD_PROCESSES_POLL);
            }
            Ok(None) => return Err(launch.busy()),
            Err(error) => return Err(error),
        }
    }
}

/// What to do about a server that died while its keeper and users live. Only who holds the start lock may revive.
#[derive(Clone, Copy)]
enum Dead {
    Leave,
    Revive,
}

struct Launch<'a> {
    settings: &'a Settings,
    layout: &'a Layout,
    account: &'a Account,
    deadline: Instant,
}

impl Launch<'_> {
    /// Joins a server that is kept; `None` when there is none, or it ended instead.
    fn join(&self, dead: Dead) -> Result<Option<(Postmaster, Share)>, PrivateError> {
        let Some(share) = keeper::join(self.layout, self.account)? else {
            return Ok(None);
        };
        // See keeper.sh: `ending` is looked for only after our line is in the pipe.
        loop {
            let server = Postmaster::find(&self.layout.pgdata());
            match (server, self.layout.ending().exists(), dead) {
                (Some(server), false, _) if server.status == Status::Ready => {
                    return Ok(Some((server, share)));
                }
                (None, false, Dead::Leave) => return Ok(None),
                (None, false, Dead::Revive) => self.revive()?,
                // It starts, or its keeper is about to notice us, or is past that and goes.
                _ => {}
            }
            if !keeper::is_at_work(self.layout) {
                return Ok(None);
            }
            self.pause()?;
        }
    }

    /// Starts a server that died under its users; its keeper will end it as if it were the old one.
    fn revive(&self) -> Result<(), PrivateError> {
        let binaries = self.prepare_files()?;
        let log_start = self.log_len();
        let started = self
            .account
            .command(binaries.program("pg_ctl"), &self.layout.root)
            .args(["start", "-s", "-w", "-t"])
            .arg(self.settings.start_wait_max.as_secs().max(1).to_string())
            .arg("-D")
            .arg(self.layout.pgdata())
            .arg("-l")
            .arg(self.layout.log())
            .output()
            .map_err(PrivateError::io("run", binaries.program("pg_ctl")))?;
        // A keeper whose starter was killed may have been at it too.
        if started.status.success() || Postmaster::find(&self.layout.pgdata()).is_some() {
            return Ok(());
        }
        Err(self.explain(log_start, &String::from_utf8_lossy(&started.stderr)))
    }

    /// Starts or adopts a server with a keeper of its own; `None` when it was gone before it was ours.
    fn start_fresh(&self) -> Result<Option<PrivateCluster>, PrivateError> {
        let pgdata = self.layout.pgdata();
        self.wait_for_ending_server()?;
        let binaries = self.prepare_files()?;
        let log_start = self.log_len();
        let pg_ctl = binaries.program("pg_ctl");
        let (started, share) = keeper::start(
            self.layout,
            self.account,
            &pg_ctl,
            self.settings.linger,
            self.settings.start_wait_max,
        )?;
        let keeper = match started {
            Started::Running(keeper) => keeper,
            Started::Failed(said) => return Err(self.explain(log_start, &said)),
        };
        loop {
            match Postmaster::find(&pgdata) {
                Some(server) if server.status == Status::Ready => {
                    return Ok(Some(self.cluster(server, share, Some(keeper))));
                }
                Some(_) => self.pause()?,
                None => return Ok(None),
            }
        }
    }

    /// Everything on disk that a start needs: the cluster, and unless a server runs, its settings.
    fn prepare_files(&self) -> Result<Binaries, PrivateError> {
        let pgdata = self.layout.pgdata();
        Postmaster::remove_stale(&pgdata);
        let found = binaries::find_all(self.settings.search_path.as_deref());
        let binaries = binaries::choose(found, self.layout.data_major(), &self.layout.root)?;
        init::ensure(self.layout, self.account, &binaries, self.settings.durable)?;
        if Postmaster::find(&pgdata).is_none() {
            self.remove_stale_sockets();
            self.put_log_aside()?;
            let port = self.choose_port()?;
            conf::write(
                self.layout,
                self.account,
                &binaries,
                port,
                self.settings.durable,
            )?;
            Layout::write_private(&self.layout.port(), &port.to_string(), self.account)?;
        }
        Ok(binaries)
    }

    /// Waits for a server that its keeper is stopping. One that nobody stops is left, to be adopted.
    fn wait_for_ending_server(&self) -> Result<(), PrivateError> {
        let adopt_at = Instant::now() + ADOPT_AFTER;
        while let Some(server) = Postmaster::find(&self.layout.pgdata()) {
            let nobody_stops_it = !self.layout.ending().exists() || Instant::now() > adopt_at;
            if server.status != Status::Stopping && nobody_stops_it {
                tracing::info!(
                    pid = server.pid,
                    "adopting the server in {}",
                    self.layout.root.display()
                );
                return Ok(());
            }
            self.pause()?;
        }
        Ok(())
    }

    /// The port asked for, else that of the last start, else a free one.
    fn choose_port(&self) -> Result<u16, PrivateError> {
        let free = |port: u16| {
            TcpListener::bind(("127.0.0.1", port)).and_then(|listener| listener.local_addr())
        };
        if let Some(port) = self.settings.port {
            return match free(port) {
                Ok(_) => Ok(port),
                Err(_) => Err(PrivateError::PortTaken { port }),
            };
        }
        let last = fs::read_to_string(self.layout.port())
            .ok()
            .and_then(|text| text.trim().parse::<u16>().ok());
        let address = last
            .and_then(|port| free(port).ok())
            .map_or_else(|| free(0), Ok);
        Ok(address
            .map_err(PrivateError::io("find a free port for", &self.layout.root))?
            .port())
    }

    /// Removes the sockets of a server that is no more, and their locks, which the system may still
    /// think held: of a killed process whose exit status nobody took yet.
    fn remove_stale_sockets(&self) {
        let entries = fs::read_dir(self.layout.socket_dir(self.account));
        for entry in entries.into_iter().flatten().flatten() {
            if entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(b".s.PGSQL.")
            {
                // What cannot be removed is named by the server when it fails to start.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn log_len(&self) -> u64 {
        fs::metadata(self.layout.log()).map_or(0, |about| about.len())
    }

    fn put_log_aside(&self) -> Result<(), PrivateError> {
        let log = self.layout.log();
        match fs::metadata(&log) {
            Ok(about) if about.len() > LOG_BYTES_MAX => {
                fs::rename(&log, log.with_extension("log.old"))
                    .map_err(PrivateError::io("rename", log))
            }
            _ => Ok(()),
        }
    }

    /// Why the server did not start, from what it logged since `log_start`.
    fn explain(&self, log_start: u64, pg_ctl_said: &str) -> PrivateError {
        let log = self.layout.log();
        let logged = tail(&log, log_start).unwrap_or_default();
        if init::says_disk_full(&logged) || init::says_disk_full(pg_ctl_said) {
            return PrivateError::disk_full(&self.layout.root);
        }
        if logged.contains("Address already in use")
            || logged.contains("could not create any TCP/IP sockets")
        {
            let port = fs::read_to_string(self.layout.port())
                .ok()
                .and_then(|port| port.trim().parse().ok());
            return PrivateError::PortTaken {
                port: port.unwrap_or_default(),
            };
        }
        let said = if logged.trim().is_empty() {
            pg_ctl_said
        } else {
            &logged
        };
        PrivateError::Start {
            dir: self.layout.root.clone(),
            said: init::last_words(said),
            log,
        }
    }

    fn cluster(
        &self,
        server: Postmaster,
        share: Share,
        keeper: Option<std::process::Child>,
    ) -> PrivateCluster {
        PrivateCluster {
            layout: self.layout.clone(),
            account: self.account.clone(),
            server,
            linger: self.settings.linger,
            keeper,
            share: Some(share),
        }
    }

    fn pause(&self) -> Result<(), PrivateError> {
        if Instant::now() > self.deadline {
            return Err(self.busy());
        }
        sleep(POLL);
        Ok(())
    }

    fn busy(&self) -> PrivateError {
        PrivateError::Busy {
            dir: self.layout.root.clone(),
            waited: self.settings.start_wait_max,
        }
    }
}

/// One start at a time. The lock goes with the process that holds it.
fn lock_start(
    layout: &Layout,
    account: &Account,
    deadline: Instant,
    waited: Duration,
) -> Result<File, PrivateError> {
    let file = Layout::open_lock(&layout.start_lock(), account)?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::WouldBlock) if Instant::now() < deadline => sleep(POLL),
            Err(fs::TryLockError::WouldBlock) => {
                return Err(PrivateError::Busy {
                    dir: layout.root.clone(),
                    waited,
                });
            }
            Err(fs::TryLockError::Error(error)) => {
                return Err(PrivateError::io("lock", layout.start_lock())(error));
            }
        }
    }
}

fn tail(path: &Path, start: u64) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(LOG_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
