//! `report.html`: settings, curves and pictures of a run in one file that needs nothing else.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::TrainError;
use super::chart::{Curve, chart};
use super::checkpoint::write;
use super::metrics::Line;

/// Writes the report of the run in `out`. `sheet` is the latest sample sheet, a PNG.
///
/// # Errors
/// [`TrainError`] if a curve cannot be drawn or the file cannot be written.
pub fn write_report(
    out: &Path,
    title: &str,
    settings: &str,
    lines: &[Line],
    sheet: Option<&[u8]>,
) -> Result<(), TrainError> {
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title><style>body{{font:14px/1.5 \
         sans-serif;max-width:1180px;margin:2em auto;padding:0 1em}}pre{{background:#f4f4f4;padding:1em;overflow:auto}}\
         td,th{{padding:2px 10px;text-align:right}}img{{max-width:100%;image-rendering:pixelated}}</style><h1>{title}</h1>",
        title = escape(title)
    );
    page += &summary(lines);
    if let Some(sheet) = sheet {
        let data = STANDARD.encode(sheet);
        page += &format!("<h2>Samples</h2><img alt=\"samples\" src=\"data:image/png;base64,{data}\">");
    }
    page += "<h2>Curves</h2>";
    for (title, curves) in curves(lines) {
        page += &chart(title, &curves)?.unwrap_or_default();
    }
    page += &format!("<h2>Settings</h2><pre>{}</pre></html>\n", escape(settings));
    write(&out.join("report.html"), page.as_bytes())
}

/// The last line of each kind as a table.
fn summary(lines: &[Line]) -> String {
    let mut rows = String::new();
    let mut row = |name: &str, value: String| rows += &format!("<tr><th>{name}</th><td>{value}</td></tr>");
    let train = lines.iter().rev().find_map(|line| if let Line::Train(line) = line { Some(line) } else { None });
    if let Some(line) = train {
        row("steps", line.step.to_string());
        row("hours of training", format!("{:.2}", line.seconds / 3600.0));
        row("pictures a second", format!("{:.1}", line.images_per_second));
        row("waiting for pictures", format!("{:.2} %", 100.0 * line.wait_share));
        row("unreadable pictures", line.skipped.to_string());
    }
    let judged = lines.iter().rev().find_map(|line| if let Line::Validation(line) = line { Some(line) } else { None });
    if let Some(line) = judged {
        if line.usage > 0.0 {
            row("codebook used in validation", format!("{:.1} %", 100.0 * line.usage));
        }
        if let Some(loss) = line.loss {
            row("validation loss", format!("{loss:.4}"));
        }
        for (tokens, psnr) in &line.psnr {
            row(&format!("PSNR at {tokens} tokens"), format!("{psnr:.2} dB"));
        }
        for (tokens, iou) in &line.iou {
            row(&format!("IoU at {tokens} tokens"), format!("{iou:.4}"));
        }
    }
    format!("<table>{rows}</table>")
}

fn curves(lines: &[Line]) -> Vec<(&'static str, Vec<Curve>)> {
    let mut losses: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    let mut psnr: BTreeMap<usize, Vec<(f64, f64)>> = BTreeMap::new();
    let mut iou: BTreeMap<usize, Vec<(f64, f64)>> = BTreeMap::new();
    let (mut rate, mut norm, mut speed) = (Vec::new(), Vec::new(), Vec::new());
    let (mut judged, mut by_position) = (Vec::new(), Vec::new());
    let (mut usage, mut judged_usage, mut perplexity, mut dead) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for line in lines {
        match line {
            Line::Train(line) => {
                let step = line.step as f64;
                for (name, value) in &line.losses {
                    losses.entry(name).or_default().push((step, *value));
                }
                rate.push((step, line.learning_rate));
                norm.push((step, line.gradient_norm));
                speed.push((step, line.images_per_second));
                usage.push((step, 100.0 * line.usage));
                perplexity.push((step, line.perplexity));
                dead.push((step, line.dead_codes as f64));
            }
            Line::Validation(line) => {
                let step = line.step as f64;
                judged.extend(line.loss.map(|loss| (step, loss)));
                if !line.loss_by_position.is_empty() {
                    let points = line.loss_by_position.iter().enumerate();
                    by_position = points.map(|(position, loss)| (position as f64, *loss)).collect();
                }
                judged_usage.push((step, 100.0 * line.usage));
                for (tokens, value) in &line.psnr {
                    psnr.entry(*tokens).or_default().push((step, *value));
                }
                for (tokens, value) in &line.iou {
                    iou.entry(*tokens).or_default().push((step, *value));
                }
            }
        }
    }
    let one = |name: &str, points: Vec<(f64, f64)>| Curve { name: name.to_owned(), points };
    let by_tokens = |curves: BTreeMap<usize, Vec<(f64, f64)>>| -> Vec<Curve> {
        curves.into_iter().map(|(tokens, points)| one(&tokens.to_string(), points)).collect()
    };
    let mut charts = vec![("Validation PSNR in dB by tokens", by_tokens(psnr))];
    charts.push(("Validation IoU by tokens", by_tokens(iou)));
    charts.push(("Loss terms", losses.into_iter().map(|(name, points)| one(name, points)).collect()));
    charts.push(("Validation loss", vec![one("loss", judged)]));
    charts.push(("Validation loss by position, at the end", vec![one("loss", by_position)]));
    charts.push(("Codes used in %", vec![one("training", usage), one("validation", judged_usage)]));
    charts.push(("Codebook perplexity and dead codes", vec![one("perplexity", perplexity), one("dead", dead)]));
    charts.push(("Norm of the gradient", vec![one("norm", norm)]));
    charts.push(("Learning rate", vec![one("rate", rate)]));
    charts.push(("Pictures a second", vec![one("speed", speed)]));
    charts
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
