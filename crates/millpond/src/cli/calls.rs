//! `millpond calls`: what the call log tells, and the folder it is in.

use std::fs::File;
use std::io::{self, BufRead as _, IsTerminal as _, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use calls::{Options, Report, ReportError};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Context, Usage};
use crate::call_logs::{self, folder, newest};
use crate::output::Exit;

/// Columns of a report that no terminal shows.
const WIDTH: usize = 100;
/// How often a followed log is looked at.
const FOLLOW_EVERY: Duration = Duration::from_millis(200);
/// How many bytes at the end of a log are searched for its last lines.
const TAIL_BYTES: u64 = 4 << 20;

/// The call log: one line per call to an upstream, written when `call_log.on` or MILLPOND_CALL_LOG=1 says so
#[derive(Debug, Subcommand)]
pub(super) enum Calls {
    Report(ReportArgs),
    Tail(TailArgs),
    /// Print the folder of the logs and the newest of them
    Path,
    Clear(ClearArgs),
}

/// Say how long calls took, what failed, what ran at the same time, and what to do about it
///
/// Reads the newest log, or FILE, or standard input (`-`). Several logs are read as one with
/// `cat call-logs/*.jsonl | millpond calls report -`. Lines that are no calls are skipped and counted.
#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// The log; `-` is standard input. Default: the newest in the folder of call logs
    file: Option<PathBuf>,
    /// Write the report as one HTML page with plots, which needs nothing else
    #[arg(long, value_name = "OUT")]
    html: Option<PathBuf>,
    /// Calls a minute that a connection may make; default: what its connector says
    #[arg(long, value_name = "CALLS", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// The most calls at the same time over one connection that are fine
    #[arg(long, value_name = "CALLS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    parallel_max: u32,
}

/// Print the last calls
#[derive(Debug, Args)]
pub(super) struct TailArgs {
    /// The log. Default: the newest in the folder of call logs
    file: Option<PathBuf>,
    /// How many
    #[arg(short = 'n', long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    lines: u32,
    /// Go on with what is written, until Ctrl-C; when a newer log is begun, with that
    #[arg(short, long)]
    follow: bool,
}

/// Remove all logs that no running process writes to
#[derive(Debug, Args)]
pub(super) struct ClearArgs {
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

impl Calls {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self {
            Self::Report(args) => args.run(context),
            Self::Tail(args) => args.run(context).await,
            Self::Path => path(context),
            Self::Clear(args) => args.run(context),
        }
    }
}

impl ReportArgs {
    fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let (name, log): (String, Box<dyn Read + Send>) = match &self.file {
            Some(file) if file.as_os_str() == "-" => {
                ("standard input".to_owned(), Box::new(io::stdin()))
            }
            Some(file) => (file.display().to_string(), Box::new(open(file)?)),
            None => {
                let file = match newest(&folder(&context.load()?)) {
                    Ok(file) => file,
                    Err(error) => return absent(&error),
                };
                (file.display().to_string(), Box::new(open(&file)?))
            }
        };
        let options = Options {
            parallel_max: self.parallel_max,
            limits: self.limits(context),
            ..Options::default()
        };
        let report = match calls::analyze(log, &options) {
            Ok(report) => report,
            Err(error @ (ReportError::Empty | ReportError::NoCalls(_))) => {
                return absent(
                    &anyhow::Error::new(error)
                        .context(format!("there is nothing to report on in {name}")),
                );
            }
            Err(error) => return Err(error).with_context(|| format!("cannot report on {name}")),
        };
        if let Some(out) = &self.html {
            std::fs::write(out, calls::to_html(&report, &name))
                .with_context(|| format!("cannot write {}", out.display()))?;
        }
        context.output.answer(
            &WithName {
                log: &name,
                report: &report,
            },
            || match &self.html {
                Some(out) => format!("the report on {name} is in {}", out.display()),
                None => format!("{name}\n\n{}", calls::to_text(&report, width(context))),
            },
        )?;
        Ok(Exit::Done)
    }

    /// What a connection may call, by base URL: as the command line says, or the configured instances, or the
    /// connectors that come with Millpond.
    fn limits(&self, context: &Context) -> Vec<(String, u32)> {
        if let Some(limit) = self.limit {
            return vec![(String::new(), limit)];
        }
        // A report on somebody's log needs no configuration: what cannot be loaded says nothing about limits.
        call_logs::limits(context.load().ok().as_ref())
    }
}

#[derive(serde::Serialize)]
struct WithName<'a> {
    log: &'a str,
    #[serde(flatten)]
    report: &'a Report,
}

/// Says that there is nothing to report on.
fn absent(error: &anyhow::Error) -> anyhow::Result<Exit> {
    eprintln!("error: {}", super::chain_of(error.as_ref()));
    Ok(Exit::NotFound)
}

fn open(file: &Path) -> anyhow::Result<File> {
    let opened = File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
    if opened.metadata()?.is_dir() {
        return Err(Usage(format!("{} is a folder: name a log in it", file.display())).into());
    }
    Ok(opened)
}

/// As wide as the terminal, or as COLUMNS says.
fn width(context: &Context) -> usize {
    let said = context
        .environment
        .find("COLUMNS")
        .and_then(|columns| columns.parse().ok());
    let terminal = || {
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
        (size.ws_col > 0).then_some(usize::from(size.ws_col))
    };
    said.or_else(terminal).unwrap_or(WIDTH)
}

fn path(context: &Context) -> anyhow::Result<Exit> {
    let folder = folder(&context.load()?);
    let logs = upstream::call_logs(&folder).unwrap_or_default();
    let newest = logs.last().map(|log| log.display().to_string());
    let answer =
        json!({ "folder": folder.display().to_string(), "logs": logs.len(), "newest": newest });
    context.output.answer(&answer, || {
        format!(
            "folder  {}\nlogs    {}\nnewest  {}",
            folder.display(),
            logs.len(),
            newest.as_deref().unwrap_or("none")
        )
    })?;
    Ok(Exit::Done)
}

impl ClearArgs {
    fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let folder = folder(&context.load()?);
        let logs = match upstream::call_logs(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            logs => logs.with_context(|| format!("cannot read {}", folder.display()))?,
        };
        if !logs.is_empty() && !self.yes && !agreed(logs.len(), &folder)? {
            eprintln!("nothing was removed");
            return Ok(Exit::Failed);
        }
        let cleared = match logs.is_empty() {
            true => upstream::Cleared::default(),
            false => upstream::clear_call_logs(&folder)
                .with_context(|| format!("cannot clear {}", folder.display()))?,
        };
        let answer = json!({ "removed": cleared.removed.len(), "open": cleared.open });
        context.output.answer(&answer, || {
            let mut text = format!(
                "{} logs removed from {}",
                cleared.removed.len(),
                folder.display()
            );
            for open in &cleared.open {
                text.push_str(&format!(
                    "\nkept {}: a running process writes to it",
                    open.display()
                ));
            }
            text
        })?;
        Ok(Exit::Done)
    }
}

fn agreed(logs: usize, folder: &Path) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        let text =
            "`calls clear` asks before it removes logs, and nobody is here to answer: say --yes";
        return Err(Usage(text.to_owned()).into());
    }
    eprint!("remove {logs} call logs from {}? [y/N] ", folder.display());
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

impl TailArgs {
    async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let folder = match &self.file {
            Some(_) => None,
            None => Some(folder(&context.load()?)),
        };
        let mut path = match (&self.file, &folder) {
            (Some(file), _) => file.clone(),
            (None, Some(folder)) => match newest(folder) {
                Ok(path) => path,
                Err(error) => return absent(&error),
            },
            (None, None) => return Ok(Exit::NotFound),
        };
        let mut file = open(&path)?;
        let end = file.metadata()?.len();
        let begin = end.saturating_sub(TAIL_BYTES);
        file.seek(SeekFrom::Start(begin))?;
        let mut bytes = Vec::new();
        (&mut file).take(TAIL_BYTES).read_to_end(&mut bytes)?;
        let whole = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |last| last + 1);
        let mut torn = bytes.split_off(whole);
        let lines: Vec<&[u8]> = bytes
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .collect();
        let first = lines.len().saturating_sub(self.lines as usize);
        for line in &lines[first..] {
            show(context, line)?;
        }
        if !self.follow {
            return Ok(Exit::Done);
        }
        let stop = crate::signals::stop_on_signals()?;
        while !stop.is_cancelled() {
            let mut more = Vec::new();
            (&mut file).take(TAIL_BYTES).read_to_end(&mut more)?;
            if more.is_empty() {
                let newer = folder.as_deref().and_then(|folder| newest(folder).ok());
                if let Some(newer) = newer.filter(|newer| *newer != path) {
                    file = open(&newer)?;
                    path = newer;
                    torn.clear();
                    continue;
                }
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(FOLLOW_EVERY) => {}
                }
                continue;
            }
            torn.extend_from_slice(&more);
            let whole = torn
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(0, |last| last + 1);
            let rest = torn.split_off(whole);
            for line in torn
                .split(|byte| *byte == b'\n')
                .filter(|line| !line.is_empty())
            {
                show(context, line)?;
            }
            torn = rest;
        }
        Ok(Exit::Done)
    }
}

/// Prints a line of the log: as it is for programs, short for people.
fn show(context: &Context, line: &[u8]) -> io::Result<()> {
    let text = String::from_utf8_lossy(line);
    let parsed = serde_json::from_slice::<Value>(line)
        .ok()
        .filter(Value::is_object);
    let (Some(call), false) = (parsed, context.output.json) else {
        return context.output.line(&text);
    };
    let word = |key: &str| match &call[key] {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.chars().filter(|c| !c.is_control()).collect(),
        other => other.to_string(),
    };
    let error = call["error"]
        .as_str()
        .map(|_| format!("  {}", word("error")))
        .unwrap_or_default();
    context.output.line(&format!(
        "{}  {:>4} {:>6} ms  {}  {} {}{error}",
        word("timestamp"),
        word("status"),
        word("durationMs"),
        word("instance"),
        word("method"),
        word("url"),
    ))
}
