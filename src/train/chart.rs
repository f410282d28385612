//! Curves over steps as SVG.

use plotters::prelude::*;

use super::TrainError;

/// One curve: its name and its points.
pub struct Curve {
    /// For the legend.
    pub name: String,
    /// Step and value; values that are no finite numbers are left out.
    pub points: Vec<(f64, f64)>,
}

const SIZE: (u32, u32) = (560, 300);

/// A chart of curves over steps, as a self-contained SVG element; `None` without a single point.
///
/// # Errors
/// [`TrainError::Report`] if it cannot be drawn.
pub fn chart(title: &str, curves: &[Curve]) -> Result<Option<String>, TrainError> {
    let points = || curves.iter().flat_map(|curve| &curve.points).filter(|(x, y)| x.is_finite() && y.is_finite());
    let bounds = |value: fn(&(f64, f64)) -> f64| {
        points().map(value).fold(None, |bounds: Option<(f64, f64)>, value| match bounds {
            Some((low, high)) => Some((low.min(value), high.max(value))),
            None => Some((value, value)),
        })
    };
    let (Some((left, right)), Some((low, high))) = (bounds(|point| point.0), bounds(|point| point.1)) else {
        return Ok(None);
    };
    let (right, pad) = (right.max(left + 1.0), ((high - low) * 0.05).max(1e-6 * high.abs()).max(1e-9));
    let mut svg = String::new();
    draw(&mut svg, title, curves, (left, right), (low - pad, high + pad))
        .map_err(|error| TrainError::Report(error.to_string()))?;
    Ok(Some(svg))
}

fn draw(
    svg: &mut String,
    title: &str,
    curves: &[Curve],
    (left, right): (f64, f64),
    (low, high): (f64, f64),
) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 16))
        .margin(8)
        .x_label_area_size(28)
        .y_label_area_size(56)
        .build_cartesian_2d(left..right, low..high)?;
    chart.configure_mesh().light_line_style(WHITE).x_desc("step").label_style(("sans-serif", 11)).draw()?;
    for (at, curve) in curves.iter().enumerate() {
        let colour = Palette99::pick(at).to_rgba();
        let points = curve.points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite());
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(curve.name.as_str())
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 14, y)], colour.stroke_width(2)));
    }
    if curves.len() > 1 {
        chart.configure_series_labels().background_style(WHITE.mix(0.8)).label_font(("sans-serif", 11)).draw()?;
    }
    area.present()?;
    Ok(())
}
