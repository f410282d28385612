//! Triangles to pixels, the nearest on top.

use crate::picture::Picture;

pub(super) struct Raster {
    side: u32,
    /// Inverse of the distance to what is drawn at each pixel; 0 where nothing is.
    nearness: Vec<f32>,
    rgb: Vec<[u8; 3]>,
}

impl Raster {
    /// A square of at most [`crate::MAX_PIXELS`] pixels.
    pub(super) fn new(side: u32, background: [u8; 3]) -> Self {
        let pixels = side as usize * side as usize;
        Self { side, nearness: vec![0.0; pixels], rgb: vec![background; pixels] }
    }

    /// Draws a triangle of corners (column, row, nearness), whose brightness is `shade` at each.
    pub(super) fn triangle(&mut self, corners: [[f64; 3]; 3], shade: [f64; 3], colour: [u8; 3]) {
        let [a, b, c] = corners;
        let area = cross(a, b, c);
        if !(area.abs() > 0.0 && area.is_finite()) {
            return;
        }
        let columns = self.covered(corners.map(|corner| corner[0]));
        for row in self.covered(corners.map(|corner| corner[1])) {
            let start = row as usize * self.side as usize;
            for column in columns.clone() {
                let at = [f64::from(column) + 0.5, f64::from(row) + 0.5, 0.0];
                let weights = [cross(b, c, at) / area, cross(c, a, at) / area, cross(a, b, at) / area];
                if weights.iter().any(|&weight| weight < 0.0) {
                    continue;
                }
                let mixed =
                    |values: [f64; 3]| weights.iter().zip(values).map(|(weight, value)| weight * value).sum::<f64>();
                let nearness = mixed(corners.map(|corner| corner[2])) as f32;
                let pixel = start + column as usize;
                if nearness > self.nearness[pixel] {
                    self.nearness[pixel] = nearness;
                    let light = mixed(shade);
                    // The cast saturates.
                    self.rgb[pixel] = colour.map(|part| (f64::from(part) * light).round() as u8);
                }
            }
        }
    }

    /// Pixels whose centres may lie between the least and the largest of three numbers.
    fn covered(&self, values: [f64; 3]) -> std::ops::Range<u32> {
        let least = values.iter().copied().fold(f64::INFINITY, f64::min).floor();
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max).ceil();
        // Casts saturate, so that nothing lies outside.
        least.max(0.0) as u32..(most.max(0.0) as u32).min(self.side)
    }

    /// The picture, each pixel the mean of `times` x `times` (a divisor of the side).
    pub(super) fn shrunk(self, times: u32) -> Picture {
        let (side, times_wide) = (self.side / times, times as usize);
        let mut rgb = Vec::with_capacity(side as usize * side as usize * 3);
        for row in 0..side as usize {
            for column in 0..side as usize {
                let mut sum = [0_u32; 3];
                for below in 0..times_wide {
                    let start = (row * times_wide + below) * self.side as usize + column * times_wide;
                    for pixel in &self.rgb[start..start + times_wide] {
                        sum.iter_mut().zip(pixel).for_each(|(sum, &part)| *sum += u32::from(part));
                    }
                }
                let count = times * times;
                rgb.extend(sum.map(|sum| ((sum + count / 2) / count) as u8));
            }
        }
        Picture::from_parts(side, side, rgb)
    }
}

/// Twice the signed area of a triangle on the screen.
fn cross(a: [f64; 3], b: [f64; 3], c: [f64; 3]) -> f64 {
    (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
}
