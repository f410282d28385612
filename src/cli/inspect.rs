//! `tessera inspect`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use serde_json::{Value, json};
use tessera::datasets::shape::is_mesh_name;
use tessera::datasets::write_atomically;
use tessera::generators::GeneratorConfig;
use tessera::layers::checkpoint::{
    CheckpointFiles, TensorEntry, Weights, WeightsKind, differences, locate, read_config,
};
use tessera::layers::params::entries;
use tessera::tokenizers::flextok::config_in;
use tessera::tokenizers::{InputKind, ModelConfig, TokenizerInfo, config_of, load_tokens};

use super::common::Common;
use super::output::{Done, bytes, table};

/// Says what a model, a weight file, a token file or a mesh holds, without loading the model; with --write-random writes a
/// model of a released size with random weights, for trying and timing.
#[derive(Args)]
#[command(after_help = "Examples:\n  tessera inspect photo.tsr\n  tessera inspect pytorch_model.bin --tensors\n  \
                        tessera inspect chair.glb -o views.png\n  \
                        tessera inspect --write-random one-d-piece-s-256 -o random-s/")]
pub struct Arguments {
    /// Folder, weight file, hub id, token file or mesh; the model of --model where absent.
    #[arg(value_name = "FILE")]
    file: Option<String>,
    /// List every tensor.
    #[arg(long)]
    tensors: bool,
    /// Write a model of this released configuration with random weights.
    #[arg(long, value_name = "PRESET", conflicts_with = "file", requires = "out")]
    write_random: Option<String>,
    /// Folder for --write-random, or picture (PNG) of a mesh from all around.
    #[arg(long, short)]
    out: Option<PathBuf>,
}

pub fn run(arguments: &Arguments, common: &Common) -> Result<Done> {
    if let (Some(preset), Some(out)) = (&arguments.write_random, &arguments.out) {
        return write_random(preset, out, common.seed.unwrap_or(0));
    }
    match &arguments.file {
        None => {
            let tokenizer = common.open_tokenizer(false, &common.open_device()?)?;
            let mut facts = model_facts(tokenizer.info());
            facts.push(("codes of a position", json!(tokenizer.depth_names())));
            Ok(done(facts))
        }
        Some(file) if is_mesh_name(Path::new(file)) => {
            super::inspect_mesh::run(Path::new(file), arguments.out.as_deref())
        }
        Some(file) if holds_tokens(file) => tokens(Path::new(file)),
        Some(spec) => weights(spec, arguments.tensors),
    }
}

/// Facts in order: label and value.
pub(super) type Facts = Vec<(&'static str, Value)>;

pub(super) fn done(facts: Facts) -> Done {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let rows: Vec<Vec<String>> = facts.iter().map(|(label, value)| vec![(*label).to_owned(), plain(value)]).collect();
    let quiet = facts.iter().map(|(_, value)| plain(value)).collect::<Vec<_>>().join("\n");
    let json = facts.into_iter().map(|(label, value)| (label.replace(' ', "_"), value)).collect();
    Done { text: table(&rows), json: Value::Object(json), quiet, passed: true }
}

fn model_facts(info: &TokenizerInfo) -> Facts {
    let input = match (info.input, info.image_size) {
        (InputKind::Points { count, with_normals }, _) => {
            let normals = if with_normals { "with" } else { "without" };
            ("points", format!("{count} of a surface, or any number, {normals} normals"))
        }
        (_, Some([height, width])) => ("pictures", format!("{width}x{height} pixels")),
        (_, None) => ("pictures", format!("any multiple of {} pixels", info.patch)),
    };
    vec![
        ("architecture", info.architecture.into()),
        ("release", info.preset.unwrap_or("none").into()),
        (input.0, input.1.into()),
        ("tokens", info.layout.to_string().into()),
        ("vocabulary", json!(info.vocab)),
        ("any prefix decodes", info.prefix_decodes.into()),
        ("parameters", info.parameters.into()),
        ("fingerprint", info.fingerprint.to_string().into()),
    ]
}

/// Whether the file holds tokens rather than weights: by its ending, or a safetensors file by its tensors.
fn holds_tokens(file: &str) -> bool {
    let path = Path::new(file);
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    match ending.as_deref() {
        Some("tsr") => true,
        Some("safetensors") => {
            Weights::open(path).is_ok_and(|weights| weights.is_integer("ids") && weights.entries().len() <= 2)
        }
        _ => false,
    }
}

fn tokens(path: &Path) -> Result<Done> {
    // A file that was cut off is worth looking at too.
    let file = load_tokens(path, false).or_else(|error| load_tokens(path, true).map_err(|_| error))?;
    let tokens = file.tokens;
    let whole =
        file.cut.map_or("yes".to_owned(), |cut| format!("no, {} of {} tokens are there", cut.present, cut.expected));
    let picture = file.picture.map_or_else(
        || "unknown".to_owned(),
        |picture| {
            let tile = picture
                .tile
                .map_or("resized to the model's size".to_owned(), |tile| format!("in tiles of {tile} pixels"));
            let shared = match picture.overlap {
                0 => String::new(),
                overlap => format!(" that share {overlap}"),
            };
            format!("{}x{} pixels, {tile}{shared}", picture.width, picture.height)
        },
    );
    let length = std::fs::metadata(path).map(|metadata| metadata.len()).unwrap_or(0);
    Ok(done(vec![
        ("kind", "token file".into()),
        ("whole", whole.into()),
        ("picture", picture.into()),
        ("items", tokens.batch().into()),
        ("layout", tokens.layout().to_string().into()),
        ("vocabulary", json!(tokens.vocab())),
        ("tokens kept", tokens.kept_count().into()),
        ("bits per position", tokens.bits_per_position().into()),
        ("file bytes", length.into()),
        ("model fingerprint", tokens.fingerprint().to_string().into()),
    ]))
}

fn weights(spec: &str, list: bool) -> Result<Done> {
    let files = locate(spec)?;
    let weights = Weights::open(&files.weights)?;
    let found = weights.entries();
    let count = |entry: &TensorEntry| entry.shape.iter().product::<usize>();
    let mut stored: BTreeMap<String, usize> = BTreeMap::new();
    for entry in &found {
        let element = weights.element_type(&entry.name).map_or("unknown".to_owned(), |element| format!("{element:?}"));
        *stored.entry(element).or_default() += 1;
    }
    let stored = stored.iter().map(|(element, tensors)| format!("{tensors} {element}")).collect::<Vec<_>>().join(", ");
    let config = match &files.config {
        Some(path) => path.display().to_string(),
        None if config_in(&weights).is_some() => "in the metadata of the weights".to_owned(),
        None => "none".to_owned(),
    };
    let weight_files: Vec<String> = match files.kind {
        WeightsKind::Torch => files.weight_files()?.iter().map(|path| path.display().to_string()).collect(),
        _ => vec![files.weights.display().to_string()],
    };
    let mut facts: Facts = vec![
        ("kind", "weights".into()),
        ("weights", weight_files.join(", ").into()),
        ("config", config.clone().into()),
        ("tensors", found.len().into()),
        ("parameters", found.iter().map(count).sum::<usize>().into()),
        ("stored as", stored.into()),
    ];
    facts.extend(weights.wrapper().map(|key| ("found under key", Value::from(key))));
    let release = ModelConfig::release_of(&found).or_else(|| GeneratorConfig::release_of(&found));
    facts.push(("release", release.unwrap_or("none that is known").into()));
    if config != "none" {
        facts.push(("fits its config", fits(&files, &weights, &found).into()));
    }
    let mut done = done(facts);
    if list {
        let names: Vec<Vec<String>> =
            found.iter().map(|entry| vec![entry.name.clone(), format!("{:?}", entry.shape)]).collect();
        done.text += &format!("\n{}", table(&names));
        if let Value::Object(json) = &mut done.json {
            let shapes = found.iter().map(|entry| (entry.name.clone(), json!(entry.shape))).collect();
            json.insert("tensor_shapes".to_owned(), Value::Object(shapes));
        }
    }
    Ok(done)
}

/// Whether the tensors are those of the configuration, in words.
fn fits(files: &CheckpointFiles, weights: &Weights, found: &[TensorEntry]) -> String {
    let generator = files.config.as_ref().and_then(|path| read_config(path).ok()).filter(GeneratorConfig::describes);
    let differences = match generator {
        Some(document) => {
            let specs = GeneratorConfig::from_value(&document).map_err(Into::into).and_then(|config| config.listing());
            specs.map(|specs| differences(&entries(&specs), &GeneratorConfig::parameters_of(found)))
        }
        None => config_of(files, weights).and_then(|config| config.differences(found)),
    };
    match differences {
        Ok(None) => "yes".to_owned(),
        Ok(Some(differences)) => format!("no: {differences}"),
        Err(error) => format!("no: {error}"),
    }
}

fn write_random(preset: &str, folder: &Path, seed: u64) -> Result<Done> {
    let Some(config) = ModelConfig::preset(preset) else {
        let known = ModelConfig::presets().collect::<Vec<_>>().join(", ");
        bail!("--write-random: unknown preset \"{preset}\"; known are {known}");
    };
    if !folder.is_dir() {
        std::fs::create_dir(folder).with_context(|| format!("{}: the folder could not be made", folder.display()))?;
    }
    let path = folder.join("model.safetensors");
    ensure!(!path.exists(), "{}: there is a model already; choose another folder", path.display());
    config.write_random(seed, &path)?;
    let text = serde_json::to_vec_pretty(&config.to_value())?;
    write_atomically(folder.join("config.json"), |file| std::io::Write::write_all(file, &text))?;
    let length = std::fs::metadata(&path).map(|metadata| metadata.len()).unwrap_or(0);
    Ok(Done {
        text: format!("wrote {} ({}, random weights, seed {seed})\n", folder.display(), bytes(length)),
        json: json!({ "output": folder, "preset": preset, "seed": seed, "bytes": length }),
        quiet: folder.display().to_string(),
        passed: true,
    })
}
