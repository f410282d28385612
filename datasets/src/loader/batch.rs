//! [`Batch`].

/// Samples for one training step.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Its number in the run, from 0.
    pub index: u64,
    /// `[batch_size, 3, image_size, image_size]` flattened, values in `[0, 1]`.
    pub images: Vec<f32>,
    /// Number of samples.
    pub batch_size: usize,
    /// Side of the pictures in pixels.
    pub image_size: u32,
    /// The samples' classes.
    pub labels: Vec<Option<u32>>,
    /// The samples' captions.
    pub captions: Vec<Option<String>>,
    /// The samples' paths inside their sources.
    pub keys: Vec<String>,
}
