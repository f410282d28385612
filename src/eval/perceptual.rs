//! The slot for distances that a network measures.

use tessera_datasets::Picture;

use crate::Error;

/// A distance between a picture and its reconstruction that is computed by a network; 0 for equal pictures.
///
/// ```
/// use tessera::datasets::Picture;
/// use tessera::eval::PerceptualMetric;
///
/// /// The largest difference of any byte.
/// struct Largest;
///
/// impl PerceptualMetric for Largest {
///     fn name(&self) -> &str {
///         "largest"
///     }
///
///     fn distances(&self, originals: &[Picture], others: &[Picture]) -> Result<Vec<f64>, tessera::Error> {
///         let largest = |(a, b): (&Picture, &Picture)| {
///             let differences = a.rgb().iter().zip(b.rgb()).map(|(&a, &b)| a.abs_diff(b));
///             f64::from(differences.max().unwrap_or(0))
///         };
///         Ok(originals.iter().zip(others).map(largest).collect())
///     }
/// }
/// ```
pub trait PerceptualMetric {
    /// What it is called in tables and reports.
    fn name(&self) -> &str;

    /// The distance of each pair; both slices have the same length, and both pictures of a pair the same size.
    ///
    /// # Errors
    /// [`Error`] if the network fails.
    fn distances(&self, originals: &[Picture], others: &[Picture]) -> Result<Vec<f64>, Error>;
}
