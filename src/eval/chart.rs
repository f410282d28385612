//! The rate-distortion picture: bits per pixel on a logarithmic axis against quality.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::report::{Point, Report};
use crate::Error;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Colours that stay apart for colour-blind readers (Okabe and Ito), in the order of the series.
const COLOURS: [RGBColor; 4] =
    [RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 158, 115), RGBColor(204, 121, 167)];
const PANEL: (u32, u32) = (560, 440);

/// Points of one method: its name, and rate and figure of each point.
type Series = (&'static str, Vec<(f64, f64)>);

/// One panel: its heading, what it shows, and the corner that curves stay out of.
struct Panel {
    heading: String,
    series: Vec<Series>,
    legend: SeriesLabelPosition,
}

/// The report's points as one SVG picture: PSNR on the left; on the right the first perceptual distance, or SSIM where
/// there is none. It needs no font, no script and no other file.
///
/// # Errors
/// [`Error::Chart`] if there is no point with a positive rate and a finite PSNR.
pub fn rate_distortion_svg(report: &Report) -> Result<String, Error> {
    let perceptual = report.points.first().and_then(|point| point.mean.perceptual.keys().next().cloned());
    let right = match &perceptual {
        Some(name) => Panel {
            heading: format!("{name}, less is better"),
            series: series(report, &|point| point.mean.perceptual.get(name).copied()),
            legend: SeriesLabelPosition::UpperRight,
        },
        None => Panel {
            heading: "SSIM".to_owned(),
            series: series(report, &|point| point.mean.ssim),
            legend: SeriesLabelPosition::LowerRight,
        },
    };
    let left = Panel {
        heading: "PSNR in dB".to_owned(),
        series: series(report, &|point| Some(point.mean.psnr_db)),
        legend: SeriesLabelPosition::LowerRight,
    };
    let panels: Vec<Panel> = [left, right].into_iter().filter(|panel| !panel.series.is_empty()).collect();
    if panels.is_empty() {
        return Err(Error::Chart("expected points with a rate and a quality, found none".to_owned()));
    }
    let mut svg = String::new();
    let count = u32::try_from(panels.len()).unwrap_or(1);
    let root = SVGBackend::with_string(&mut svg, (PANEL.0 * count, PANEL.1)).into_drawing_area();
    let failed = |error: String| Error::Chart(error);
    root.fill(&WHITE).map_err(|error| failed(error.to_string()))?;
    for (area, panel) in root.split_evenly((1, panels.len())).iter().zip(&panels) {
        draw(area, panel).map_err(failed)?;
    }
    root.present().map_err(|error| failed(error.to_string()))?;
    drop(root);
    Ok(svg)
}

/// The points of each method by rising rate; what a logarithmic axis cannot show is left out.
fn series(report: &Report, figure: &dyn Fn(&Point) -> Option<f64>) -> Vec<Series> {
    let mut all: Vec<Series> = Vec::new();
    for point in &report.points {
        let rate = point.mean.bits_per_pixel;
        let Some(figure) = figure(point).filter(|figure| figure.is_finite() && rate > 0.0) else { continue };
        let name = point.method.name();
        match all.iter_mut().find(|(known, _)| *known == name) {
            Some((_, points)) => points.push((rate, figure)),
            None => all.push((name, vec![(rate, figure)])),
        }
    }
    all.iter_mut().for_each(|(_, points)| points.sort_by(|a, b| a.0.total_cmp(&b.0)));
    all
}

fn draw(area: &Area, panel: &Panel) -> Result<(), String> {
    let text = |error: DrawingAreaErrorKind<_>| format!("{error}");
    let points = || panel.series.iter().flat_map(|(_, points)| points);
    let rates = span(points().map(|point| point.0.log2()), 0.3);
    let figures = span(points().map(|point| point.1), 0.06);
    let mut chart = ChartBuilder::on(area)
        .caption(&panel.heading, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(56)
        .build_cartesian_2d((rates.start.exp2()..rates.end.exp2()).log_scale(), figures)
        .map_err(text)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("bits per pixel")
        .x_label_formatter(&|rate| short(*rate))
        .y_label_formatter(&|figure| short(*figure))
        .draw()
        .map_err(text)?;
    for ((name, points), colour) in panel.series.iter().zip(COLOURS.iter().cycle()) {
        let colour = *colour;
        chart
            .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))
            .map_err(text)?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
        chart.draw_series(points.iter().map(|&point| Circle::new(point, 3, colour.filled()))).map_err(text)?;
    }
    chart
        .configure_series_labels()
        .position(panel.legend.clone())
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()
        .map_err(text)
}

/// From the least to the greatest, widened by a share of the distance on both sides, and never empty.
fn span(values: impl Iterator<Item = f64>, more: f64) -> Range<f64> {
    let (least, most) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| (least.min(value), most.max(value)));
    let margin = ((most - least) * more.min(0.1)).max(1e-3 * most.abs()).max(1e-6);
    least - margin..most + margin
}

/// Three digits, without zeros that say nothing.
fn short(number: f64) -> String {
    let digits = match number.abs() {
        0.0..0.01 => 4,
        0.01..0.1 => 3,
        0.1..10.0 => 2,
        _ => 1,
    };
    let text = format!("{number:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
