//! `tessera verify`

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::json;
use tessera::verify::{Case, Line, Outcome, Report, verify};

use super::common::Common;
use super::output::{Done, table};

/// Prints a line for every expected tensor: largest error, tolerance, passed / FAILED / not covered. Exit code 0 only if
/// nothing failed and every required tensor was covered.
#[derive(Args)]
#[command(after_help = "Example: tessera verify --device gpu golden/one-d-piece/*")]
pub struct Arguments {
    /// Folders of cases (case.json, config, weights, inputs.safetensors, expected.safetensors).
    #[arg(required = true, value_name = "CASE")]
    cases: Vec<PathBuf>,
    /// Only say which cases passed, and the tensors that did not.
    #[arg(long)]
    brief: bool,
}

pub fn run(arguments: &Arguments, common: &Common) -> Result<Done> {
    let device = common.open_device()?;
    let bar = common.progress(arguments.cases.len(), "cases");
    let (mut reports, mut text) = (Vec::new(), String::new());
    for folder in &arguments.cases {
        let about = || folder.display().to_string();
        let report = Case::open(folder).and_then(|case| verify(&case, &device)).with_context(about)?;
        bar.inc(1);
        text += &describe(&report, arguments.brief);
        reports.push(report);
    }
    bar.finish_and_clear();
    let failed: Vec<&str> = reports.iter().filter(|report| !report.passed).map(|report| report.case.as_str()).collect();
    let passed = failed.is_empty();
    text += &format!("{} of {} cases passed\n", reports.len() - failed.len(), reports.len());
    Ok(Done {
        quiet: failed.join("\n"),
        json: json!({ "device": common.device.to_string(), "passed": passed, "cases": reports }),
        text,
        passed,
    })
}

fn describe(report: &Report, brief: bool) -> String {
    let mut rows = vec![["tensor", "shape", "largest error", "of tolerance", ""].map(String::from).to_vec()];
    for line in &report.tensors {
        if !brief || line.outcome == Outcome::Failed || (line.required && line.outcome == Outcome::NotCovered) {
            rows.push(row(line));
        }
    }
    let verdict = if report.passed { "passed" } else { "FAILED" };
    let covered = report.tensors.iter().filter(|line| line.outcome != Outcome::NotCovered).count();
    let mut text = format!(
        "{} ({}, {}): {verdict}, {covered} of {} tensors covered, tolerance {:e} + {:e} |x|\n",
        report.case,
        report.system,
        report.kind,
        report.tensors.len(),
        report.atol,
        report.rtol
    );
    for pattern in &report.unmatched {
        text += &format!("required \"{pattern}\" is no expected tensor\n");
    }
    if rows.len() > 1 {
        text += &table(&rows);
    }
    text
}

fn row(line: &Line) -> Vec<String> {
    let verdict = match (line.outcome, line.required) {
        (Outcome::Passed, _) => "passed",
        (Outcome::Failed, _) => "FAILED",
        (Outcome::NotCovered, true) => "NOT COVERED",
        (Outcome::NotCovered, false) => "not covered",
    };
    let problem = line.problem.as_ref().map_or_else(String::new, |problem| format!(": {problem}"));
    vec![
        line.name.clone(),
        format!("{:?}", line.shape),
        line.error.map_or_else(String::new, |error| format!("{error:.2e}")),
        line.of_tolerance.map_or_else(String::new, |share| format!("{:.1} %", 100.0 * share)),
        format!("{verdict}{problem}"),
    ]
}
