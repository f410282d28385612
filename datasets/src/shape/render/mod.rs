//! Pictures of meshes, drawn on the CPU.

mod raster;
mod view;

pub use self::view::View;

use rayon::prelude::*;

use self::raster::Raster;
use super::error::{Result, ShapeError};
use super::measure::{across, unit_or_zero};
use super::mesh::{Mesh, Vector};
use crate::canvas::Canvas;
use crate::picture::{Picture, checked_pixels};

/// How a mesh is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RenderOptions {
    /// Width and height of a picture in pixels.
    pub side: u32,
    /// Each pixel is the mean of so many squared (1 to 8): edges without steps.
    pub supersampling: u32,
    /// Colour of the surface.
    pub colour: [u8; 3],
    /// Colour behind it.
    pub background: [u8; 3],
    /// Shades with the normals of vertices instead of faces; right for fine, smooth surfaces.
    pub smooth: bool,
}

impl Default for RenderOptions {
    /// 256 pixels, 3 x 3 samples each, blue-grey on white, flat.
    fn default() -> Self {
        Self { side: 256, supersampling: 3, colour: [122, 150, 190], background: [255; 3], smooth: false }
    }
}

/// Draws a mesh as seen from a direction, framed by its own bounding ball.
///
/// ```
/// use tessera_datasets::shape::{RenderOptions, Solid, View, render};
/// let ball = Solid::Sphere { radius: 0.5 }.mesh(33)?;
/// let picture = render(&ball, View::default(), &RenderOptions::default())?;
/// assert_eq!(picture.pixel(0, 0), Some([255; 3]));
/// assert_ne!(picture.pixel(128, 128), Some([255; 3]));
/// # Ok::<(), tessera_datasets::shape::ShapeError>(())
/// ```
///
/// # Errors
/// [`ShapeError::Setting`] for a supersampling out of 1 to 8, [`ShapeError::Dataset`] for a picture without or with too many pixels.
pub fn render(mesh: &Mesh, view: View, options: &RenderOptions) -> Result<Picture> {
    let times = options.supersampling;
    if !(1..=8).contains(&times) {
        let (what, expected) = ("supersampling", "1 to 8");
        return Err(ShapeError::Setting { what, expected, found: times.to_string() });
    }
    let wide = options.side.saturating_mul(times);
    checked_pixels(wide, wide, "a drawing")?;
    let mut raster = Raster::new(wide, options.background);
    if let Some(camera) = view.camera(mesh, wide) {
        let smooth = options.smooth.then(|| mesh.vertex_normals());
        let places: Vec<[f64; 3]> = mesh.vertices().par_iter().map(|vertex| camera.project(*vertex)).collect();
        for (&face, corners) in mesh.faces().iter().zip(mesh.triangles()) {
            let flat = unit_or_zero(across(corners));
            let normals = match &smooth {
                Some(normals) => face.map(|index| normals[index as usize]),
                None => [flat; 3],
            };
            let shade = normals.map(|normal| shade(camera.turn(normal)));
            raster.triangle(face.map(|index| places[index as usize]), shade, options.colour);
        }
    }
    Ok(raster.shrunk(times))
}

/// Draws a mesh from `count` directions all around, `columns` in a row.
///
/// # Errors
/// As [`render`]; [`ShapeError::Setting`] for no pictures or columns.
pub fn render_around(mesh: &Mesh, count: u32, columns: u32, options: &RenderOptions) -> Result<Picture> {
    if count == 0 || columns == 0 {
        let (what, expected) = ("views and columns", "at least 1 of each");
        return Err(ShapeError::Setting { what, expected, found: format!("{count} and {columns}") });
    }
    let (across, down) = (columns.min(count), count.div_ceil(columns));
    let (width, height) = (across.saturating_mul(options.side), down.saturating_mul(options.side));
    checked_pixels(width, height, "a sheet of drawings")?;
    let views = (0..count).into_par_iter().map(|index| {
        let azimuth = View::default().azimuth + 360.0 * f64::from(index) / f64::from(count);
        render(mesh, View { azimuth, ..View::default() }, options)
    });
    let pictures = views.collect::<Result<Vec<_>>>()?;
    let mut canvas = Canvas::new(width, height)?;
    for (index, picture) in (0..).zip(&pictures) {
        canvas.place(picture, index % columns * options.side, index / columns * options.side, 1);
    }
    Ok(canvas.finish())
}

/// Brightness of a surface from its normal in the camera's frame (x right, y up, z towards the eye): a lamp above the left shoulder,
/// the sky, and the floor's reflection. Surfaces seen from behind are lit as if turned round, but darker.
fn shade(normal: Vector) -> f64 {
    let (normal, behind) = if normal.z < 0.0 { (-normal, 0.55) } else { (normal, 1.0) };
    let lamp = Vector::new(-0.45, 0.65, 0.62);
    let light = 0.68 * normal.dot(&lamp).max(0.0) / lamp.norm() + 0.22 * (0.5 + 0.5 * normal.y) + 0.2;
    light * behind
}
