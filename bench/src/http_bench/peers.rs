//! The others: nginx's `proxy_cache` and Varnish in front of the same server, each set up as for speed, and pgbench.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use store::private::PrivateCluster;

use super::{Contestant, SERVER_CORE};
use crate::{
    measure::tree_cpu_secs,
    served::{Process, port},
};

/// A program on the path, or where Debian keeps what administrators use.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let extra = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(extra)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// Lets programs that change their user go in.
pub fn open_to_all(folder: &Path) -> Result<()> {
    Ok(std::fs::set_permissions(
        folder,
        std::fs::Permissions::from_mode(0o755),
    )?)
}

/// nginx: one worker, answers kept in files that stay open, no log.
pub fn nginx(folder: &Path, origin: u16) -> Result<Contestant> {
    let home = folder.join("nginx");
    std::fs::create_dir(&home)?;
    let (port, at) = (port()?, home.display());
    // Workers of root's nginx would else be nobody.
    let user = if is_root() { "user root;" } else { "" };
    let config = format!(
        r#"{user} daemon off; worker_processes 1; pid {at}/pid; error_log {at}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off; sendfile on; tcp_nopush on; tcp_nodelay on;
    keepalive_requests 1000000000; keepalive_timeout 1h;
    open_file_cache max=20000 inactive=1h; open_file_cache_valid 1h;
    client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/fastcgi;
    uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;
    proxy_cache_path {at}/cache levels=1:2 keys_zone=kept:32m inactive=1h use_temp_path=off;
    upstream origin {{ server 127.0.0.1:{origin}; keepalive 8; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_set_header Host localhost;
            proxy_cache kept; proxy_cache_key $request_uri; proxy_cache_valid 200 1h; proxy_cache_lock on;
            proxy_ignore_headers Cache-Control Expires Vary;
            add_header x-kept $upstream_cache_status;
        }}
    }}
}}
"#
    );
    let file = home.join("nginx.conf");
    std::fs::write(&file, config)?;
    let program = find("nginx").context("nginx is missing")?;
    let process = Process::start(&program, Some(SERVER_CORE), |command| {
        command.arg("-p").arg(&home).arg("-c").arg(&file);
        command.arg("-e").arg(home.join("start.log"));
    })?;
    Ok(Contestant::new("nginx proxy_cache", port, process))
}

/// Varnish: answers kept in memory.
pub fn varnish(folder: &Path, origin: u16) -> Result<Contestant> {
    let home = folder.join("varnish");
    std::fs::create_dir(&home)?;
    let port = port()?;
    let rules = format!(
        r#"vcl 4.1;
backend default {{ .host = "127.0.0.1"; .port = "{origin}"; }}
sub vcl_recv {{ set req.http.host = "localhost"; return (hash); }}
sub vcl_backend_response {{ set beresp.ttl = 1h; set beresp.uncacheable = false; return (deliver); }}
sub vcl_deliver {{ if (obj.hits > 0) {{ set resp.http.x-kept = "hit"; }} }}
"#
    );
    let file = home.join("rules.vcl");
    std::fs::write(&file, rules)?;
    let program = find("varnishd").context("varnishd is missing")?;
    let process = Process::start(&program, Some(SERVER_CORE), |command| {
        command.args(["-F", "-j", "none", "-a"]);
        command.arg(format!("127.0.0.1:{port}"));
        command
            .arg("-f")
            .arg(&file)
            .arg("-n")
            .arg(home.join("work"));
        command.args(["-s", "malloc,256m"]);
        command.stderr(std::process::Stdio::null());
    })?;
    Ok(Contestant::new("Varnish", port, process))
}

/// The record read as PostgREST asks for it, prepared once, by pgbench: requests per second, and per second of
/// PostgreSQL's own CPU time.
pub fn sql(
    cluster: &PrivateCluster,
    records: usize,
    connections: usize,
    secs: u64,
    core: &str,
) -> Result<(f64, f64)> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("record.sql");
    let text = format!(
        "\\set n random(0, {})\n\
         SELECT coalesce(json_agg(found), '[]')::text FROM \
         (SELECT * FROM cin7.sale WHERE instance = 'uk' AND id = (:n)::text) found;\n",
        records.saturating_sub(1)
    );
    std::fs::write(&file, text)?;
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let pgbench = versions
        .map(|version| version.path().join("bin/pgbench"))
        .find(|file| file.is_file())
        .or_else(|| find("pgbench"))
        .context("pgbench is missing: it comes with the PostgreSQL server")?;
    let before = tree_cpu_secs(cluster.server_pid());
    let done = Command::new("taskset")
        .args(["-c", core])
        .arg(pgbench)
        .args(["-n", "-M", "prepared", "-j", "1", "-c"])
        .arg(connections.to_string())
        .arg("-T")
        .arg(secs.to_string())
        .arg("-f")
        .arg(&file)
        .arg(cluster.url())
        .output()
        .context("cannot start pgbench")?;
    let spent = tree_cpu_secs(cluster.server_pid()) - before;
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    ensure!(
        done.status.success(),
        "pgbench failed: {said}{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let number = |name: &str| -> Result<f64> {
        let line = said.lines().find_map(|line| line.strip_prefix(name));
        let word = line.and_then(|line| line.split_whitespace().next());
        let word = word.with_context(|| format!("pgbench does not say {name}: {said}"))?;
        Ok(word.parse()?)
    };
    let rate = number("tps = ")?;
    let transactions = number("number of transactions actually processed:")?;
    Ok((rate, transactions / spent))
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| {
        use std::os::unix::fs::MetadataExt as _;
        own.uid() == 0
    })
}
