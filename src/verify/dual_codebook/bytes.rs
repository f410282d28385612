//! Pictures as bytes.

use burn::tensor::Tensor;
use tessera_layers::Tap;

use crate::verify::{Value, Values};

/// A pixel of -1..=1 this near to a boundary between two bytes may fall to either side of it.
const MARGIN: f32 = 5e-5;

/// Takes pictures `[batch, 3, height, width]` in -1..=1 as bytes `[batch, height, width, 3]`, `127.5 x + offset` clamped and
/// cut off. Pixels beside a boundary are not compared.
pub(super) fn take(name: &str, pixels: Tensor<4>, offset: f32, values: &mut Values) {
    if !values.wants(name) {
        return;
    }
    let pixels = pixels.permute([0, 2, 3, 1]);
    let shape = pixels.dims().to_vec();
    let scaled: Vec<f32> = pixels.into_data().iter::<f32>().map(|x| x * 127.5 + offset).collect();
    let beside = |x: &f32| (-1.0..=256.0).contains(x) && (x - x.round()).abs() < MARGIN * 127.5;
    values.check_only(name, scaled.iter().map(|x| !beside(x)).collect());
    let bytes = scaled.iter().map(|x| x.clamp(0.0, 255.0) as i64).collect();
    values.insert(name, Value::Integers(shape, bytes));
}

/// Takes an intermediate value under `name`, and its first item's first four channels under `<name>.b0_c0_4`.
pub(super) fn tap(name: &str, tap: Tap, values: &mut Values) {
    let part = format!("{name}.b0_c0_4");
    if let (Tap::Rank4(map), true) = (&tap, values.wants(&part)) {
        let [_, channels, height, width] = map.dims();
        values.floats(&part, map.clone().slice([0..1, 0..channels.min(4), 0..height, 0..width]));
    }
    values.tap(name, tap);
}
