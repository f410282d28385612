//! What a command has to say, and how it is said: text, JSON or bare values, and the exit code.

use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

use serde::Serialize;
use serde_json::{Value, json};

use super::common::Common;

/// The outcome of a command.
pub struct Done {
    /// For people.
    pub text: String,
    /// For programs.
    pub json: Value,
    /// Bare values, one a line.
    pub quiet: String,
    /// Whether every check passed.
    pub passed: bool,
}

impl Done {
    /// One row, one object and one bare value for each file.
    pub fn of_files(rows: &[Vec<String>], files: &[Value], quiet: &[String]) -> Self {
        Self {
            text: table(rows),
            json: json!({ "files": files, "peak_memory_bytes": tessera::peak_memory() }),
            quiet: quiet.join("\n"),
            passed: true,
        }
    }
}

/// An item that was passed over.
#[derive(Serialize)]
pub struct Skipped {
    pub name: String,
    pub reason: String,
}

/// Says what was passed over, and why; nothing if nothing was.
pub fn passed_over(skipped: &[Skipped]) -> String {
    if skipped.is_empty() {
        return String::new();
    }
    let lines = skipped.iter().map(|Skipped { name, reason }| format!("  {name}: {reason}\n"));
    format!("{} passed over:\n{}", skipped.len(), lines.collect::<String>())
}

/// Prints the outcome and turns it into the exit code: 0 done, 1 a check failed, 2 an error.
pub fn finish(done: anyhow::Result<Done>, common: &Common) -> ExitCode {
    match done {
        Ok(done) => {
            let code = if done.passed { ExitCode::SUCCESS } else { ExitCode::from(1) };
            let text = match (common.json, common.quiet) {
                (true, _) => done.json.to_string(),
                (false, true) => done.quiet,
                (false, false) => done.text,
            };
            print(&text).unwrap_or(code)
        }
        Err(error) => {
            let message = sentence(&error);
            if common.json {
                print(&json!({ "error": message }).to_string());
            }
            let _ = writeln!(std::io::stderr(), "error: {message}");
            ExitCode::from(2)
        }
    }
}

/// The error and its causes, without saying twice what an outer message repeats of an inner one.
fn sentence(error: &anyhow::Error) -> String {
    let mut message = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !message.contains(&cause) {
            let separator = if message.is_empty() { "" } else { ": " };
            message += &format!("{separator}{cause}");
        }
    }
    message
}

/// Writes to standard output. A reader that went away ends the program quietly; any other failure is an error.
fn print(text: &str) -> Option<ExitCode> {
    let newline = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let mut out = std::io::stdout().lock();
    let error = write!(out, "{text}{newline}").and_then(|()| out.flush()).err()?;
    if error.kind() == ErrorKind::BrokenPipe {
        return Some(ExitCode::SUCCESS);
    }
    let _ = writeln!(std::io::stderr(), "error: standard output: {error}");
    Some(ExitCode::from(2))
}

/// Rows of text in columns; the first row is the heading. Numbers stand right, words left.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cell = |row: &Vec<String>, column: usize| row.get(column).cloned().unwrap_or_default();
    let width: Vec<usize> = (0..columns)
        .map(|column| rows.iter().map(|row| cell(row, column).chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, &width) in width.iter().enumerate() {
            let cell = cell(row, column);
            let is_number = cell.starts_with(|first: char| first.is_ascii_digit() || first == '-');
            line += &if is_number { format!("{cell:>width$}  ") } else { format!("{cell:<width$}  ") };
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// Bytes for people.
pub fn bytes(count: u64) -> String {
    match count {
        0..10_000 => format!("{count} B"),
        10_000..10_000_000 => format!("{:.1} kB", count as f64 / 1e3),
        10_000_000..10_000_000_000 => format!("{:.1} MB", count as f64 / 1e6),
        _ => format!("{:.1} GB", count as f64 / 1e9),
    }
}
