//! Watching the intermediate values of a forward pass.

use burn::tensor::Tensor;

/// An intermediate value, handed to a [`Trace`].
#[derive(Debug, Clone)]
pub enum Tap {
    /// `[batch, channels]`
    Rank2(Tensor<2>),
    /// `[batch, positions, channels]`
    Rank3(Tensor<3>),
    /// `[batch, channels, height, width]`
    Rank4(Tensor<4>),
}

impl From<Tensor<2>> for Tap {
    fn from(tensor: Tensor<2>) -> Self {
        Tap::Rank2(tensor)
    }
}

impl From<Tensor<3>> for Tap {
    fn from(tensor: Tensor<3>) -> Self {
        Tap::Rank3(tensor)
    }
}

impl From<Tensor<4>> for Tap {
    fn from(tensor: Tensor<4>) -> Self {
        Tap::Rank4(tensor)
    }
}

/// What a [`Trace`] calls with the name of each value.
pub type Observer<'a> = dyn FnMut(&str, Tap) + 'a;

/// Receives named intermediate values, or nothing. Without an observer a value is not even cloned, so that the
/// forward pass may still work in place.
#[derive(Default)]
pub struct Trace<'a> {
    observer: Option<&'a mut Observer<'a>>,
    prefix: String,
}

impl<'a> Trace<'a> {
    /// Watches nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// Hands every value to `observer` under its name, such as `encoder.block0`.
    pub fn new(observer: &'a mut dyn FnMut(&str, Tap)) -> Self {
        Self { observer: Some(observer), prefix: String::new() }
    }

    /// Whether anybody watches, so that values must be computed which the forward pass could do without.
    pub fn is_watched(&self) -> bool {
        self.observer.is_some()
    }

    /// The same observer, names starting with `prefix.`.
    pub fn at(&mut self, prefix: &str) -> Trace<'_> {
        let prefix = format!("{}{prefix}.", self.prefix);
        match &mut self.observer {
            Some(observer) => Trace { observer: Some(&mut **observer), prefix },
            None => Trace::none(),
        }
    }

    /// Reports `value()` as `name`.
    pub fn see<T: Into<Tap>>(&mut self, name: impl std::fmt::Display, value: impl FnOnce() -> T) {
        if let Some(observer) = &mut self.observer {
            observer(&format!("{}{name}", self.prefix), value().into());
        }
    }
}
