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

/// How often each is measured, one after the other in each round, so that whatever else the machine does strikes all
/// alike; the best round of each counts.
const ROUNDS: usize = 5;
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
    let ours = std::env::current_exe()?;
    let ours = [ours.as_os_str(), "report".as_ref(), file.as_os_str()];
    let script = |name: &str| scripts.join(name);
    let (pandas, plain) = (script("pandas_report.py"), script("python_report.py"));
    let pandas = [python.as_ref(), pandas.as_os_str(), file.as_os_str()];
    let plain = [python.as_ref(), plain.as_os_str(), file.as_os_str()];
    let mut measured = [None, None, None];
    for round in 1..=ROUNDS {
        let contestants = [("millpond", &ours), ("pandas", &pandas), ("python", &plain)];
        for ((name, command), best) in contestants.into_iter().zip(&mut measured) {
            // Memory may be short, and the log have left it.
            warm(&file)?;
            let run = measure(name, command)?;
            eprintln!(
                "{name} round {round}: {:.2} s, {:.2} s of CPU, {:.0} MB",
                run.seconds, run.cpu_seconds, run.peak_mb
            );
            *best = Some(run.better_of(best.take()));
        }
    }
    let [Some(ours), Some(pandas), Some(plain)] = measured else {
        return Err("no round".into());
    };
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
    // What a busy machine leaves of two cores differs from run to run; what the work costs does not.
    result("report_cpu_s", ours.cpu_seconds, "s");
    result("report_pandas_cpu_s", pandas.cpu_seconds, "s");
    result("report_python_cpu_s", plain.cpu_seconds, "s");
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
    cpu_seconds: f64,
    peak_mb: f64,
    answer: Value,
}

impl Measured {
    /// The better time of both, the less CPU, and the most memory.
    fn better_of(self, other: Option<Self>) -> Self {
        let Some(other) = other else { return self };
        Self {
            seconds: self.seconds.min(other.seconds),
            cpu_seconds: self.cpu_seconds.min(other.cpu_seconds),
            peak_mb: self.peak_mb.max(other.peak_mb),
            answer: self.answer,
        }
    }
}

/// Runs a program to its end.
fn measure<C: AsRef<std::ffi::OsStr>>(
    name: &str,
    command: &[C],
) -> Result<Measured, Box<dyn Error>> {
    let began = Instant::now();
    let mut child = Command::new(&command[0])
        .args(&command[1..])
        .stdout(Stdio::piped())
        .spawn()?;
    let pid = child.id();
    let watch = std::thread::spawn(move || watch(pid));
    let mut text = String::new();
    child
        .stdout
        .take()
        .ok_or("no standard output")?
        .read_to_string(&mut text)?;
    let status = child.wait()?;
    let seconds = began.elapsed().as_secs_f64();
    let (peak_mb, cpu_seconds) = watch.join().map_err(|_| "the watch panicked")?;
    if !status.success() {
        return Err(format!("{name} ended with {status}").into());
    }
    Ok(Measured {
        seconds,
        cpu_seconds,
        peak_mb,
        answer: serde_json::from_str(&text)?,
    })
}

/// The most memory that a process had resident while it ran, in MB of 10^6 bytes, and the CPU seconds that it took, both
/// as last seen before its end.
fn watch(pid: u32) -> (f64, f64) {
    let (mut peak, mut cpu): (f64, f64) = (0.0, 0.0);
    while let (Ok(status), Ok(stat)) = (
        std::fs::read_to_string(format!("/proc/{pid}/status")),
        std::fs::read_to_string(format!("/proc/{pid}/stat")),
    ) {
        // Fields 14 and 15 of proc(5), in ticks of 10 ms; the name before them may have spaces.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: f64 = ticks.filter_map(|tick| tick.parse::<f64>().ok()).sum();
        cpu = cpu.max(ticks / 100.0);
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
    (peak, cpu)
}
