//! The server's settings: durable, modest on small machines, and written anew at every start.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::account::Account;
use super::binaries::Binaries;
use super::error::PrivateError;
use super::layout::Layout;

const FILE: &str = "millpond.conf";
const SHARED_BUFFERS_MIB_MIN: u64 = 32;
const SHARED_BUFFERS_MIB_MAX: u64 = 256;
/// What is assumed when the system does not tell its memory, in MiB.
const MEMORY_MIB_UNKNOWN: u64 = 1024;

/// Lets the cluster's own `postgresql.conf` read our file. `ALTER SYSTEM` still wins over it.
pub(super) fn include(pgdata: &Path) -> Result<(), PrivateError> {
    let path = pgdata.join("postgresql.conf");
    let append = || {
        let mut text = fs::read_to_string(&path)?;
        text.push_str("\ninclude_if_exists = 'millpond.conf'\n");
        fs::write(&path, text)
    };
    append().map_err(PrivateError::io("write", &path))
}

/// Writes the settings for the next start.
pub(super) fn write(
    layout: &Layout,
    account: &Account,
    binaries: &Binaries,
    port: u16,
    durable: bool,
) -> Result<(), PrivateError> {
    let lz4 = durable && binaries.major >= 15 && supports_lz4(layout, account, binaries);
    let socket_dir = layout.socket_dir(account);
    let text = render(&socket_dir, port, memory_mib(), durable, lz4);
    Layout::write_private(&layout.pgdata().join(FILE), &text, account)
}

fn render(socket_dir: &Path, port: u16, memory_mib: u64, durable: bool, lz4: bool) -> String {
    let socket_dir = socket_dir.display().to_string().replace('\'', "''");
    let shared_buffers = (memory_mib / 8).clamp(SHARED_BUFFERS_MIB_MIN, SHARED_BUFFERS_MIB_MAX);
    let cache_size = (memory_mib / 2).max(shared_buffers);
    // Every test process brings a pool of its own.
    let connections = if durable { 100 } else { 300 };
    let maintenance = (memory_mib / 32).clamp(16, 128);
    let mut text = format!(
        "# Written at every start; change settings with ALTER SYSTEM instead.\n\
         listen_addresses = '127.0.0.1'\n\
         port = {port}\n\
         unix_socket_directories = '{socket_dir}'\n\
         unix_socket_permissions = 0700\n\
         password_encryption = 'scram-sha-256'\n\
         shared_buffers = {shared_buffers}MB\n\
         effective_cache_size = {cache_size}MB\n\
         maintenance_work_mem = {maintenance}MB\n\
         max_connections = {connections}\n\
         random_page_cost = 1.1\n\
         jit = off\n\
         log_min_messages = warning\n\
         lc_messages = 'C'\n\
         # The owner is called as our schema is, which \"$user\" would put first.\n\
         search_path = 'public'\n\
         log_line_prefix = '%m [%p] %u@%d '\n\
         timezone = 'UTC'\n"
    );
    let rest = if durable {
        format!(
            "fsync = on\n\
             synchronous_commit = on\n\
             full_page_writes = on\n\
             wal_compression = {}\n\
             max_wal_size = 4GB\n\
             checkpoint_timeout = 15min\n\
             checkpoint_completion_target = 0.9\n",
            if lz4 { "lz4" } else { "on" }
        )
    } else {
        // For tests: what a crash of the machine would cost is one directory of throw-away databases.
        "fsync = off\n\
         synchronous_commit = off\n\
         full_page_writes = off\n\
         wal_level = minimal\n\
         max_wal_senders = 0\n\
         max_wal_size = 1GB\n\
         autovacuum_naptime = 10min\n\
         checkpoint_timeout = 1h\n"
            .to_owned()
    };
    let _ = write!(text, "{rest}");
    text
}

/// The memory this process may count on, in MiB: the machine's, or its container's if that is less.
fn memory_mib() -> u64 {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let machine = meminfo
        .lines()
        .find_map(|line| {
            line.strip_prefix("MemAvailable:")?
                .trim()
                .strip_suffix("kB")?
                .trim()
                .parse::<u64>()
                .ok()
        })
        .map_or(MEMORY_MIB_UNKNOWN, |kib| kib / 1024);
    let container = fs::read_to_string("/sys/fs/cgroup/memory.max")
        .ok()
        .and_then(|max| max.trim().parse::<u64>().ok())
        .map_or(u64::MAX, |bytes| bytes / (1 << 20));
    machine.min(container)
}

/// Whether the programs were built with lz4, asked of them.
fn supports_lz4(layout: &Layout, account: &Account, binaries: &Binaries) -> bool {
    account
        .command(binaries.program("postgres"), &layout.root)
        .arg("-D")
        .arg(layout.pgdata())
        .args(["-c", "wal_compression=lz4", "-C", "wal_compression"])
        .output()
        .is_ok_and(|output| output.status.success())
}

#[cfg(test)]
mod tests;
