use super::*;

#[test]
fn a_small_machine_gets_small_buffers_and_a_large_one_no_more_than_it_needs() {
    let small = render(Path::new("/s"), 5432, 300, true, false);
    assert!(small.contains("shared_buffers = 37MB"), "{small}");
    let tiny = render(Path::new("/s"), 5432, 64, true, false);
    assert!(tiny.contains("shared_buffers = 32MB"), "{tiny}");
    let large = render(Path::new("/s"), 5432, 64_000, true, false);
    assert!(large.contains("shared_buffers = 256MB"), "{large}");
}

#[test]
fn a_cluster_that_keeps_data_is_durable() {
    let text = render(Path::new("/s"), 5432, 4096, true, true);
    for line in [
        "fsync = on",
        "synchronous_commit = on",
        "full_page_writes = on",
        "wal_compression = lz4",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn a_quote_in_the_path_stays_inside_the_setting() {
    let text = render(Path::new("/it's/here"), 5432, 4096, true, false);
    assert!(
        text.contains("unix_socket_directories = '/it''s/here'"),
        "{text}"
    );
}
