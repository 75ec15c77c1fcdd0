//! `docs/cli.md`, printed from the commands themselves.

use std::fmt::Write as _;

use clap::{Command, CommandFactory as _};

use super::Cli;
use crate::output::Exit;

/// The page of all commands.
pub fn page() -> String {
    let mut root = Cli::command().term_width(110);
    root.build();
    let mut text = String::from(
        "# The command line\n\n\
         Printed from the commands themselves: `millpond cli-page`. Every command takes `--config FILE` and `--json`: one\n\
         JSON document on standard output (one per line where rows go on), everything else on standard error.\n\n\
         | exit code | meaning |\n| --- | --- |\n",
    );
    for (exit, meaning) in Exit::MEANINGS {
        let _ = writeln!(text, "| {} | {meaning} |", exit as u8);
    }
    text.push_str("| 130 | a second Ctrl-C or SIGTERM ended it at once |\n");
    for command in root.get_subcommands() {
        describe(command, "millpond", &mut text);
    }
    text
}

fn describe(command: &Command, parent: &str, text: &mut String) {
    if command.is_hide_set() || command.get_name() == "help" {
        return;
    }
    let name = format!("{parent} {}", command.get_name());
    let mut subcommands = command
        .get_subcommands()
        .filter(|sub| sub.get_name() != "help")
        .peekable();
    if subcommands.peek().is_some() {
        for sub in subcommands {
            describe(sub, &name, text);
        }
        return;
    }
    let own = command
        .clone()
        .bin_name(name.clone())
        .term_width(110)
        .disable_help_flag(true)
        .mut_args(|arg| {
            let is_global = matches!(arg.get_id().as_str(), "config" | "json" | "version");
            arg.hide(is_global)
        });
    let help = own.clone().render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    let _ = write!(
        text,
        "\n## `{name}`\n\n```text\n{}\n```\n",
        lines.join("\n").trim()
    );
}
