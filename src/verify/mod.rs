//! Conformance: does this machine compute what the official implementation computed?
//!
//! A case is a folder with a configuration, weights, inputs (every random draw included) and the outputs recorded from
//! the official implementation. [`verify`] loads it as a user loads a checkpoint, runs it through the public interface on
//! a device, and compares tensor by tensor: integers must be equal, floats within the case's tolerance.
//!
//! It is a feature, not only a test: run it to learn whether a GPU driver computes right.

mod case;
mod compare;
mod decoder;
mod flextok;
mod gradients;
mod inputs;
mod llamagen;
mod nar;
mod one_d_piece;
mod sampling;
mod seed;
mod token_shuffle;
mod values;
mod vat;
mod xar;

pub use case::{Case, CaseError};
pub use compare::{Line, Outcome, Report};
pub use values::{Value, Values};

use burn::tensor::Device;

/// Systems whose cases can be run.
pub const SYSTEMS: [&str; 9] =
    ["flextok", "llamagen", "nar", "one-d-piece", "sampling", "seed", "token-shuffle", "vat", "xar"];

/// Runs a case on a device.
///
/// # Errors
/// [`CaseError`] if the case's files cannot be read or are of a system or kind that is not built; a deviation is no
/// error but a [`Report`] that did not pass.
pub fn verify(case: &Case, device: &Device) -> Result<Report, CaseError> {
    let mut values = Values::wanting(case.expected_names());
    match case.system.as_str() {
        "flextok" => flextok::run(case, device, &mut values)?,
        "llamagen" => llamagen::run(case, device, &mut values)?,
        "nar" => nar::run(case, device, &mut values)?,
        "one-d-piece" => one_d_piece::run(case, device, &mut values)?,
        "sampling" => sampling::run(case, device, &mut values)?,
        "seed" => seed::run(case, device, &mut values)?,
        "token-shuffle" => token_shuffle::run(case, device, &mut values)?,
        "vat" => vat::run(case, device, &mut values)?,
        "xar" => xar::run(case, device, &mut values)?,
        other => return Err(CaseError::UnknownSystem(other.to_owned())),
    }
    compare::compare(case, &values)
}
