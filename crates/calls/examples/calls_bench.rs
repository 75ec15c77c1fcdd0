//! The report on a generated log, beside a pandas script and a plain Python one that give the same figures.
//!
//! `calls_bench [--mb 1000] [--dir DIR] [--scripts DIR] [--python PYTHON]`; ends with lines `result NAME VALUE UNIT`.

#[path = "calls_bench/compare.rs"]
mod compare;
#[path = "calls_bench/log.rs"]
mod log;

use std::error::Error;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

/// How often each is measured; the best of them counts, for every side alike.
const ROUNDS: usize = 3;
/// What the report may differ in from the scripts: the rounding of sums.
const TOLERANCE: f64 = 1e-6;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [command, file] = args.as_slice()
        && command == "report"
    {
        return report(Path::new(file));
    }
    let option = |name: &str, default: &str| {
        let place = args.iter().position(|arg| arg == name);
        let value = place.and_then(|place| args.get(place + 1));
        value.map_or_else(|| default.to_owned(), String::clone)
    };
    let mb: u64 = option("--mb", "1000").parse()?;
    let dir = PathBuf::from(option("--dir", "target/bench-calls"));
    let scripts = PathBuf::from(option("--scripts", "bench/calls"));
    let python = option("--python", "python3");
    std::fs::create_dir_all(&dir)?;
    let file = dir.join(format!("log-{mb}.jsonl"));
    if !file.exists() {
        eprintln!("generating {mb} MB of log");
        let draft = dir.join("draft.jsonl");
        log::generate(&draft, mb * 1_000_000)?;
        std::fs::rename(&draft, &file)?;
    }
    warm(&file)?;

    let ours = std::env::current_exe()?;
    let ours = [ours.as_os_str(), "report".as_ref(), file.as_os_str()];
    let script = |name: &str| scripts.join(name);
    let (pandas, plain) = (script("pandas_report.py"), script("python_report.py"));
    let pandas = [python.as_ref(), pandas.as_os_str(), file.as_os_str()];
    let plain = [python.as_ref(), plain.as_os_str(), file.as_os_str()];
    let ours = measure("millpond", &ours)?;
    let pandas = measure("pandas", &pandas)?;
    let plain = measure("python", &plain)?;
    for (name, other) in [("pandas", &pandas), ("python", &plain)] {
        let differences = compare::differences(&ours.answer, &other.answer, TOLERANCE);
        for difference in differences.iter().take(20) {
            eprintln!("{name} differs: {difference}");
        }
        if !differences.is_empty() {
            return Err(
                format!("{} figures differ from those of {name}", differences.len()).into(),
            );
        }
    }
    let calls = &ours.answer["overview"]["calls"];
    println!("{mb} MB, {calls} calls; the figures of all three are the same");
    result("report_s", ours.seconds, "s");
    result("report_mb_per_s", mb as f64 / ours.seconds, "MB/s");
    result("report_pandas_s", pandas.seconds, "s");
    result("report_python_s", plain.seconds, "s");
    result("report_speedup_pandas", pandas.seconds / ours.seconds, "x");
    result("report_speedup_python", plain.seconds / ours.seconds, "x");
    result("report_peak_mb", ours.peak_mb, "MB");
    result("report_pandas_peak_mb", pandas.peak_mb, "MB");
    result("report_python_peak_mb", plain.peak_mb, "MB");
    Ok(())
}

fn result(name: &str, value: f64, unit: &str) {
    println!("result {name} {value:.3} {unit}");
}

/// What `millpond calls report --json FILE` does, in a process of its own.
fn report(file: &Path) -> Result<(), Box<dyn Error>> {
    let report = calls::analyze(File::open(file)?, &calls::Options::default())?;
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

/// Reads the log once, so that everyone finds it in memory.
fn warm(file: &Path) -> std::io::Result<()> {
    let mut file = File::open(file)?;
    let mut buffer = vec![0; 1 << 20];
    while file.read(&mut buffer)? > 0 {}
    Ok(())
}

struct Measured {
    seconds: f64,
    peak_mb: f64,
    answer: Value,
}

/// Runs a program to its end; the best time of the rounds, and the most memory.
fn measure(name: &str, command: &[&std::ffi::OsStr]) -> Result<Measured, Box<dyn Error>> {
    let mut best: Option<Measured> = None;
    for round in 1..=ROUNDS {
        let began = Instant::now();
        // GNU time's report of the peak goes to standard error; without it, /proc is asked.
        let mut child = Command::new(command[0])
            .args(&command[1..])
            .stdout(Stdio::piped())
            .spawn()?;
        let pid = child.id();
        let watch = std::thread::spawn(move || peak_of(pid));
        let mut text = String::new();
        child
            .stdout
            .take()
            .ok_or("no standard output")?
            .read_to_string(&mut text)?;
        let status = child.wait()?;
        let seconds = began.elapsed().as_secs_f64();
        let peak_mb = watch.join().map_err(|_| "the watch panicked")?;
        if !status.success() {
            return Err(format!("{name} ended with {status}").into());
        }
        eprintln!("{name} round {round}: {seconds:.2} s, {peak_mb:.0} MB");
        let answer = serde_json::from_str(&text)?;
        let peak_mb = best
            .as_ref()
            .map_or(peak_mb, |best| best.peak_mb.max(peak_mb));
        let seconds = best
            .as_ref()
            .map_or(seconds, |best| best.seconds.min(seconds));
        best = Some(Measured {
            seconds,
            peak_mb,
            answer,
        });
    }
    best.ok_or_else(|| "no round".into())
}

/// The most memory a process had resident while it ran, in MB of 10^6 bytes.
fn peak_of(pid: u32) -> f64 {
    let mut peak: f64 = 0.0;
    while let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) {
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        // A process that has ended has no memory left to tell of.
        let Some(line) = line else { break };
        let kb = line
            .split_whitespace()
            .next()
            .and_then(|kb| kb.parse::<f64>().ok());
        peak = peak.max(kb.unwrap_or(0.0) * 1024.0 / 1e6);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    peak
}
