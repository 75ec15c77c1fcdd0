//! The private PostgreSQL: starts, shared use, crashes, and what stands in its way.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection, Row};
use store::private::{PrivateCluster, PrivateError, Settings, Stopped};

use crate::POLL;

/// How long a condition outside the test may take to come true.
const DEADLINE: Duration = Duration::from_secs(60);

/// A data directory that the server's user can reach, also when the tests run as root.
fn data_dir() -> tempfile::TempDir {
    let dir = tempfile::Builder::new()
        .prefix("millpond-private-")
        .tempdir_in("/var/tmp")
        .unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

fn settings(dir: &tempfile::TempDir) -> Settings {
    Settings::new(dir.path().join("cluster"))
}

async fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(
            Instant::now() < deadline,
            "{what} did not happen within {DEADLINE:?}"
        );
        tokio::time::sleep(POLL).await;
    }
}

fn is_alive(pid: i32) -> bool {
    // `pid (name) state …`; a zombie is dead, whoever has yet to take its exit status.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn kill(signal: &str, pid: i32) {
    assert!(
        Command::new("kill")
            .args([signal, &pid.to_string()])
            .status()
            .unwrap()
            .success()
    );
}

async fn query_one(url: &str, sql: &'static str) -> String {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let value = sqlx::query(sql)
        .fetch_one(&mut connection)
        .await
        .unwrap()
        .get(0);
    connection.close().await.unwrap();
    value
}

async fn run(url: &str, sql: &'static str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// The keeper of the server in `dir`: the shell whose arguments name its data directory.
fn keeper_pid(dir: &tempfile::TempDir) -> i32 {
    let wanted = dir.path().join("cluster/pgdata").display().to_string();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let mut pids = processes.filter_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let arguments = fs::read_to_string(entry.path().join("cmdline")).ok()?;
        (arguments.contains("keeper.sh")
            && arguments.split('\0').any(|argument| argument == wanted))
        .then_some(pid)
    });
    pids.next().expect("a keeper")
}

#[tokio::test]
async fn starts_durable_keeps_what_was_written_and_its_port_and_ends_with_its_user() {
    let dir = data_dir();
    let first = PrivateCluster::start(settings(&dir)).await.unwrap();
    let (port, pid) = (first.port(), first.server_pid());
    run(&first.url(), "CREATE TABLE kept AS SELECT 'yes' AS value").await;
    for (setting, expected) in [
        ("SHOW fsync", "on"),
        ("SHOW synchronous_commit", "on"),
        ("SHOW data_checksums", "on"),
        ("SHOW server_encoding", "UTF8"),
        ("SHOW jit", "off"),
        ("SHOW listen_addresses", "127.0.0.1"),
    ] {
        assert_eq!(
            query_one(&first.url(), setting).await,
            expected,
            "{setting}"
        );
    }
    assert_eq!(first.stop().await.unwrap(), Stopped::Ended);
    assert!(!is_alive(pid));

    let second = PrivateCluster::start(settings(&dir)).await.unwrap();
    assert_eq!(second.port(), port);
    assert_eq!(
        query_one(&second.url(), "SELECT value FROM kept").await,
        "yes"
    );
    second.stop().await.unwrap();
}

#[tokio::test]
async fn only_the_password_opens_the_tcp_port_and_only_the_user_reaches_the_socket() {
    let dir = data_dir();
    let cluster = PrivateCluster::start(settings(&dir)).await.unwrap();
    let with_password = cluster.tcp_url().unwrap();
    assert_eq!(query_one(&with_password, "SELECT 'in'").await, "in");
    let without = format!("postgres://millpond@127.0.0.1:{}/millpond", cluster.port());
    assert!(PgConnection::connect(&without).await.is_err());
    assert_eq!(
        fs::metadata(cluster.socket_dir()).unwrap().mode() & 0o777,
        0o700
    );
    let password = dir.path().join("cluster/password");
    assert_eq!(fs::metadata(password).unwrap().mode() & 0o777, 0o600);
    assert!(!format!("{cluster:?}").contains(with_password.split([':', '@']).nth(2).unwrap()));
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_second_user_joins_and_the_server_stays_until_the_last_has_gone() {
    let dir = data_dir();
    let first = PrivateCluster::start(settings(&dir)).await.unwrap();
    let second = PrivateCluster::start(settings(&dir)).await.unwrap();
    let pid = first.server_pid();
    assert_eq!(second.server_pid(), pid);
    assert_eq!(first.stop().await.unwrap(), Stopped::LeftRunning);
    assert_eq!(query_one(&second.url(), "SELECT 'here'").await, "here");
    drop(second);
    wait_until("the end of the server", || !is_alive(pid)).await;
}

#[tokio::test]
async fn many_starts_at_once_make_one_server() {
    let dir = data_dir();
    let starts = (0..8).map(|_| PrivateCluster::start(settings(&dir)));
    let clusters: Vec<_> = futures::future::join_all(starts)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let pids: std::collections::HashSet<i32> =
        clusters.iter().map(PrivateCluster::server_pid).collect();
    assert_eq!(pids.len(), 1);
    let stopped = futures::future::join_all(clusters.into_iter().map(PrivateCluster::stop)).await;
    assert!(
        stopped
            .into_iter()
            .any(|stopped| stopped.unwrap() == Stopped::Ended)
    );
}

#[tokio::test]
async fn a_start_while_the_last_user_leaves_gets_a_server_that_stays() {
    let dir = data_dir();
    let mut cluster = PrivateCluster::start(settings(&dir)).await.unwrap();
    for _ in 0..8 {
        drop(cluster);
        cluster = PrivateCluster::start(settings(&dir)).await.unwrap();
        // A server that was about to end would refuse the second of these.
        for _ in 0..2 {
            assert_eq!(query_one(&cluster.url(), "SELECT 'here'").await, "here");
        }
    }
    cluster.stop().await.unwrap();
}

/// Not a test of its own: what the next one starts, to kill it.
#[tokio::test]
async fn holds_a_server_for_the_test_that_started_this_process() {
    let Some(dir) = std::env::var_os("MILLPOND_TEST_HOLD") else {
        return;
    };
    let cluster = PrivateCluster::start(Settings::new(dir)).await.unwrap();
    println!("holding {}", cluster.server_pid());
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn the_server_of_a_killed_process_ends_unless_another_uses_it() {
    let dir = data_dir();
    let hold = || {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "private::holds_a_server_for_the_test_that_started_this_process",
            ])
            .arg("--nocapture")
            .env("MILLPOND_TEST_HOLD", settings(&dir).data_dir)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = lines
            .map_while(Result::ok)
            .find_map(|line| Some(line.split_once("holding ")?.1.to_owned()));
        (child, said.unwrap().parse::<i32>().unwrap())
    };
    let (mut first, pid) = hold();
    let (mut second, same) = hold();
    assert_eq!(pid, same);
    // Child::kill is SIGKILL: no destructor runs.
    first.kill().unwrap();
    first.wait().unwrap();
    let third = PrivateCluster::start(settings(&dir)).await.unwrap();
    assert_eq!(third.server_pid(), pid);
    assert_eq!(third.stop().await.unwrap(), Stopped::LeftRunning);
    second.kill().unwrap();
    second.wait().unwrap();
    wait_until("the end of the server", || !is_alive(pid)).await;
}

#[tokio::test]
async fn a_database_of_the_cluster_can_be_migrated_again_and_again() {
    let dir = data_dir();
    let cluster = PrivateCluster::start(settings(&dir)).await.unwrap();
    for _ in 0..2 {
        store::Store::open(&cluster.url(), 2).await.unwrap();
    }
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_killed_server_is_recovered_by_the_next_start() {
    let dir = data_dir();
    let first = PrivateCluster::start(settings(&dir)).await.unwrap();
    run(&first.url(), "CREATE TABLE kept AS SELECT 'yes' AS value").await;
    let pid = first.server_pid();
    kill("-KILL", pid);
    wait_until("the death of the server", || !is_alive(pid)).await;
    drop(first);
    let second = PrivateCluster::start(settings(&dir)).await.unwrap();
    assert_eq!(
        query_one(&second.url(), "SELECT value FROM kept").await,
        "yes"
    );
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_dies_under_its_users_is_brought_back_for_all_of_them() {
    let dir = data_dir();
    let first = PrivateCluster::start(settings(&dir)).await.unwrap();
    let pid = first.server_pid();
    kill("-KILL", pid);
    wait_until("the death of the server", || !is_alive(pid)).await;
    let second = PrivateCluster::start(settings(&dir)).await.unwrap();
    let revived = second.server_pid();
    drop(second);
    assert_eq!(query_one(&first.url(), "SELECT 'here'").await, "here");
    drop(first);
    wait_until("the end of the server", || !is_alive(revived)).await;
}

#[tokio::test]
async fn a_server_whose_keeper_was_killed_is_adopted_and_still_ends_with_its_user() {
    let dir = data_dir();
    let first = PrivateCluster::start(settings(&dir)).await.unwrap();
    let pid = first.server_pid();
    let keeper = keeper_pid(&dir);
    kill("-KILL", keeper);
    drop(first);
    wait_until("the death of the keeper", || !is_alive(keeper)).await;
    assert!(is_alive(pid), "nobody was there to stop it");
    let second = PrivateCluster::start(settings(&dir)).await.unwrap();
    assert_eq!(second.server_pid(), pid);
    assert_eq!(second.stop().await.unwrap(), Stopped::Ended);
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn a_lock_file_whose_process_id_belongs_to_another_program_is_no_hindrance() {
    let dir = data_dir();
    PrivateCluster::start(settings(&dir))
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
    let pgdata = dir.path().join("cluster/pgdata");
    let lock = format!(
        "{}\n{}\n0\n1\n/nowhere\n127.0.0.1\n\nready\n",
        std::process::id(),
        pgdata.display()
    );
    fs::write(pgdata.join("postmaster.pid"), lock).unwrap();
    let cluster = PrivateCluster::start(settings(&dir)).await.unwrap();
    assert_eq!(query_one(&cluster.url(), "SELECT 'here'").await, "here");
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_half_finished_initdb_is_made_again() {
    let dir = data_dir();
    let unfinished = dir.path().join("cluster/pgdata.unfinished");
    fs::create_dir_all(&unfinished).unwrap();
    fs::write(unfinished.join("PG_VERSION"), "15\n").unwrap();
    if rustix::process::geteuid().is_root() {
        let owned = Command::new("chown")
            .args(["-R", "postgres"])
            .arg(dir.path().join("cluster"))
            .status();
        assert!(owned.unwrap().success());
    }
    let cluster = PrivateCluster::start(settings(&dir)).await.unwrap();
    assert!(!unfinished.exists());
    assert_eq!(query_one(&cluster.url(), "SELECT 'here'").await, "here");
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_taken_port_is_refused_when_it_was_asked_for_and_avoided_when_it_was_not() {
    let dir = data_dir();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let asked = Settings {
        port: Some(port),
        ..settings(&dir)
    };
    let error = PrivateCluster::start(asked).await.unwrap_err();
    assert!(
        matches!(error, PrivateError::PortTaken { port: named } if named == port),
        "{error:?}"
    );

    fs::write(dir.path().join("cluster/port"), port.to_string()).unwrap();
    let cluster = PrivateCluster::start(settings(&dir)).await.unwrap();
    assert_ne!(cluster.port(), port);
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn data_of_another_major_version_is_left_alone_and_named() {
    let dir = data_dir();
    PrivateCluster::start(settings(&dir))
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
    let version = dir.path().join("cluster/pgdata/PG_VERSION");
    let right = fs::read_to_string(&version).unwrap();
    fs::write(&version, "9\n").unwrap();
    let error = PrivateCluster::start(settings(&dir)).await.unwrap_err();
    assert!(
        matches!(error, PrivateError::OtherMajor { data_major: 9, .. }),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("apt-get install postgresql-9"),
        "{error}"
    );
    fs::write(&version, right).unwrap();
    PrivateCluster::start(settings(&dir))
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
}

#[tokio::test]
async fn a_directory_that_the_servers_user_cannot_enter_is_named() {
    let dir = data_dir();
    let closed = dir.path().join("closed");
    fs::create_dir(&closed).unwrap();
    // Root's own directory for root, a read-only one for an ordinary user.
    let mode = if rustix::process::geteuid().is_root() {
        0o700
    } else {
        0o500
    };
    fs::set_permissions(&closed, fs::Permissions::from_mode(mode)).unwrap();
    let error = PrivateCluster::start(Settings::new(closed.join("cluster")))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, PrivateError::NotAccessible { path, .. } if *path == closed),
        "{error:?}"
    );
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
    let cluster = PrivateCluster::start(Settings::new(closed.join("cluster")))
        .await
        .unwrap();
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_setting_that_the_server_refuses_is_quoted_from_its_log() {
    let dir = data_dir();
    PrivateCluster::start(settings(&dir))
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
    let auto = dir.path().join("cluster/pgdata/postgresql.auto.conf");
    let right = fs::read_to_string(&auto).unwrap();
    fs::write(&auto, "shared_buffers = 'plenty'\n").unwrap();
    let error = PrivateCluster::start(settings(&dir)).await.unwrap_err();
    assert!(error.to_string().contains("shared_buffers"), "{error}");
    fs::write(&auto, right).unwrap();
    PrivateCluster::start(settings(&dir))
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
}

#[tokio::test]
async fn a_very_long_path_gets_its_socket_elsewhere() {
    let dir = data_dir();
    let long = dir.path().join("a".repeat(60)).join("b".repeat(60));
    let cluster = PrivateCluster::start(Settings::new(long)).await.unwrap();
    assert!(cluster.socket_dir().starts_with("/tmp"));
    assert_eq!(query_one(&cluster.url(), "SELECT 'here'").await, "here");
    let socket_dir = cluster.socket_dir().to_owned();
    cluster.stop().await.unwrap();
    fs::remove_dir(socket_dir).unwrap();
}

#[tokio::test]
async fn a_full_disk_is_named_and_a_start_after_freeing_space_works() {
    let dir = data_dir();
    let small = dir.path().join("small");
    fs::create_dir(&small).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=120m", "tmpfs"])
        .arg(&small)
        .output()
        .unwrap();
    if !mounted.status.success() {
        println!(
            "skipped: a small disk needs mount: {}",
            String::from_utf8_lossy(&mounted.stderr).trim()
        );
        return;
    }
    let _unmount = Unmount(&small);
    let filler = small.join("filler");
    fs::write(&filler, vec![0; 110 << 20]).unwrap();
    let settings = || Settings::new(small.join("cluster"));
    let error = PrivateCluster::start(settings()).await.unwrap_err();
    assert!(matches!(error, PrivateError::DiskFull { .. }), "{error:?}");
    fs::remove_file(&filler).unwrap();
    let cluster = PrivateCluster::start(settings()).await.unwrap();
    run(&cluster.url(), "CREATE TABLE kept AS SELECT 'yes' AS value").await;
    kill("-KILL", cluster.server_pid());
    wait_until("the death of the server", || {
        !is_alive(cluster.server_pid())
    })
    .await;
    drop(cluster);

    // A crash and a full disk together: recovery cannot write, until there is room again.
    let _ = fs::write(&filler, vec![0; 120 << 20]);
    let error = PrivateCluster::start(settings()).await.unwrap_err();
    assert!(matches!(error, PrivateError::DiskFull { .. }), "{error:?}");
    fs::remove_file(&filler).unwrap();
    let cluster = PrivateCluster::start(settings()).await.unwrap();
    assert_eq!(
        query_one(&cluster.url(), "SELECT value FROM kept").await,
        "yes"
    );
    cluster.stop().await.unwrap();
}

struct Unmount<'a>(&'a Path);

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l"]).arg(self.0).status();
    }
}

#[tokio::test]
async fn nothing_in_the_cluster_belongs_to_root() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root could leave root's files");
        return;
    }
    let dir = data_dir();
    let cluster = PrivateCluster::start(settings(&dir)).await.unwrap();
    assert_eq!(cluster.run_as(), "postgres");
    cluster.stop().await.unwrap();
    let found = Command::new("find")
        .arg(dir.path().join("cluster"))
        .args(["-user", "root"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
}
