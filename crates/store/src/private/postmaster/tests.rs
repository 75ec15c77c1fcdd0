use super::*;

const FILE: &str =
    "4711\n/data/pgdata\n1700000000\n5433\n/data/socket\n127.0.0.1\n  1234567   11\nready   \n";

#[test]
fn reads_port_socket_and_status() {
    let postmaster = parse(FILE).unwrap();
    let expected = Postmaster {
        pid: 4711,
        port: 5433,
        socket_dir: "/data/socket".into(),
        status: Status::Ready,
    };
    assert_eq!(postmaster, expected);
}

#[test]
fn a_server_that_starts_or_stops_is_not_ready() {
    assert_eq!(
        parse(&FILE.replace("ready", "starting")).unwrap().status,
        Status::Starting
    );
    assert_eq!(
        parse(&FILE.replace("ready", "stopping")).unwrap().status,
        Status::Stopping
    );
    assert_eq!(parse("4711\n/data"), None);
}

#[test]
fn a_process_id_that_now_belongs_to_another_program_is_no_server() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("postmaster.pid");
    fs::write(&file, FILE.replace("4711", &std::process::id().to_string())).unwrap();
    assert_eq!(Postmaster::find(dir.path()), None);
    Postmaster::remove_stale(dir.path());
    assert!(!file.exists());
}
