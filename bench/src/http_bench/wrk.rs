//! The load: wrk, an HTTP client that nobody here wrote, with a script that asks for one of many paths at random.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use super::CLIENT_CORE;

/// Paths to ask for.
pub struct Script {
    file: PathBuf,
    /// With a `%d` in it.
    pattern: String,
}

/// What wrk says of a run.
pub struct Run {
    pub requests: f64,
    pub secs: f64,
    /// Answers that were none, or not 2xx.
    pub errors: u64,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

impl Script {
    /// Asks for `count` paths, `pattern` with a number from 0, as the owner of `key`.
    pub fn new(folder: &Path, name: &str, key: &str, pattern: &str, count: usize) -> Result<Self> {
        let file = folder.join(format!("{name}.lua"));
        let text = format!(
            r#"wrk.headers["x-api-key"] = "{key}"
local requests = {{}}
init = function(args)
    math.randomseed(7)
    for n = 1, {count} do requests[n] = wrk.format("GET", "{}" .. (n - 1) .. "{}") end
end
request = function() return requests[math.random(#requests)] end
done = function(summary, latency)
    local errors = summary.errors
    io.write(string.format("told %d %d %d %f %f\n", summary.requests, summary.duration,
        errors.connect + errors.read + errors.write + errors.timeout + errors.status,
        latency:percentile(50), latency:percentile(99)))
end
"#,
            pattern.split_once("%d").context("no place for a number")?.0,
            pattern.split_once("%d").context("no place for a number")?.1,
        );
        std::fs::write(&file, text)?;
        let pattern = pattern.to_owned();
        Ok(Self { file, pattern })
    }

    /// One of its paths.
    pub fn path(&self, number: usize) -> String {
        self.pattern.replacen("%d", &number.to_string(), 1)
    }

    /// Asks for `secs` seconds.
    pub fn run(&self, port: u16, connections: usize, secs: u64) -> Result<Run> {
        let done = Command::new("taskset")
            .args(["-c", CLIENT_CORE, "wrk", "-t1"])
            .arg(format!("-c{connections}"))
            .arg(format!("-d{secs}s"))
            .arg("-s")
            .arg(&self.file)
            .arg(format!("http://127.0.0.1:{port}"))
            .output()
            .context("cannot start wrk")?;
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        ensure!(done.status.success(), "wrk failed: {said}");
        let line = said.lines().find_map(|line| line.strip_prefix("told "));
        let line = line.with_context(|| format!("wrk says nothing of itself: {said}"))?;
        let numbers: Vec<f64> = line
            .split(' ')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .with_context(|| format!("wrk says {line}"))?;
        ensure!(numbers.len() == 5, "wrk says {line}");
        Ok(Run {
            requests: numbers[0],
            secs: numbers[1] / 1e6,
            errors: numbers[2] as u64,
            p50_ms: numbers[3] / 1e3,
            p99_ms: numbers[4] / 1e3,
        })
    }
}
