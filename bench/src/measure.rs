//! What processes cost: CPU seconds and peak memory, read from `/proc`.

use std::{fs, path::Path};

/// CPU seconds of a process, its threads and the children it has waited for.
pub fn cpu_secs(pid: i32) -> f64 {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return 0.0;
    };
    let Some((_, fields)) = stat.rsplit_once(')') else {
        return 0.0;
    };
    let fields: Vec<&str> = fields.split_whitespace().collect();
    // utime, stime, cutime, cstime: fields 14 to 17 of proc(5), in ticks of 10 ms.
    (11..15)
        .filter_map(|n| fields.get(n)?.parse::<f64>().ok())
        .sum::<f64>()
        / 100.0
}

/// CPU seconds of a process and all its descendants, alive or waited for.
pub fn tree_cpu_secs(root: i32) -> f64 {
    let mut total = cpu_secs(root);
    for child in children(root) {
        total += tree_cpu_secs(child);
    }
    total
}

fn children(pid: i32) -> Vec<i32> {
    let mut found = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let list = fs::read_to_string(Path::new(&task.path()).join("children")).unwrap_or_default();
        found.extend(
            list.split_whitespace()
                .filter_map(|id| id.parse::<i32>().ok()),
        );
    }
    found
}

/// Most memory that this process has had resident, in MB of 10^6 bytes.
pub fn peak_mb() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap_or_default();
    line.split_whitespace()
        .next()
        .and_then(|kb| kb.parse::<f64>().ok())
        .unwrap_or(0.0)
        * 1024.0
        / 1e6
}

/// The middle one of some measurements.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A line that scripts read.
pub fn result(name: &str, value: f64, unit: &str) {
    println!("result {name} {value:.3} {unit}");
}
