//! What several objectives check alike.

use super::{CodebookConfig, Stage, Start, TrainConfig, TrainError};

/// As [`only_single`], of a model that has a start for narrow networks.
///
/// # Errors
/// As [`only_single`].
pub fn single_or_narrow(config: &TrainConfig, what: &str) -> Result<(), TrainError> {
    let mut settings = config.clone();
    settings.model.start = Start::Released;
    only_single(&settings, what)
}

/// As [`single_or_narrow`], of a model whose codes may be moved, but that never learns without them: `why` ends the sentence about that.
///
/// # Errors
/// As [`single_or_narrow`].
pub fn movable_codes(config: &TrainConfig, what: &str, why: &str) -> Result<(), TrainError> {
    let settings = TrainConfig { codebook: CodebookConfig::default(), ..config.clone() };
    single_or_narrow(&settings, what)?;
    match config.codebook.free_steps {
        0 => Ok(()),
        found => Err(TrainError::Invalid {
            key: "codebook.free_steps",
            expected: format!("0 for {what}, {why}"),
            found: found.to_string(),
        }),
    }
}

/// As [`single_or_narrow`], of the stage that teaches a tower alone. Nothing is drawn in it that could look right or real.
///
/// # Errors
/// [`TrainError::Invalid`] naming a setting without a use.
pub fn check_tower(config: &TrainConfig) -> Result<(), TrainError> {
    let mut settings = config.clone();
    settings.loss.stage = Stage::Single;
    single_or_narrow(&settings, "the stage tower")?;
    let weights = [
        ("loss.perceptual_weight", config.loss.perceptual_weight),
        ("loss.adversarial_weight", config.loss.adversarial_weight),
        ("loss.alignment_weight", config.loss.alignment_weight),
    ];
    match weights.into_iter().find(|(_, weight)| *weight > 0.0) {
        Some((key, weight)) => {
            let expected = "0 in the stage tower, whose one term has the weight loss.reconstruction_weight".to_owned();
            Err(TrainError::Invalid { key, expected, found: weight.to_string() })
        }
        None => Ok(()),
    }
}

/// Refuses settings that only One-D-Piece has a use for.
pub fn only_single(config: &TrainConfig, what: &str) -> Result<(), TrainError> {
    let refuse = |key: &'static str, expected: &str, found: String| {
        let expected = format!("{expected} for {what}");
        Err(TrainError::Invalid { key, expected, found })
    };
    if config.loss.stage != Stage::Single {
        return refuse("loss.stage", "single", format!("{:?}", config.loss.stage).to_lowercase());
    }
    if config.model.start != Start::Released {
        return refuse("model.start", "released", "narrow".to_owned());
    }
    if let Some(proxy) = &config.model.proxy {
        return refuse("model.proxy", "none", proxy.display().to_string());
    }
    if config.codebook.free_steps > 0 || config.codebook.reseed_every > 0 {
        return refuse("codebook", "no care (all of its numbers 0), there is no codebook to move", "some".to_owned());
    }
    Ok(())
}
