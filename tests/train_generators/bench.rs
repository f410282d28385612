//! A folder to train generators in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::common::{picture, printed, random_tokenizer, tessera};

/// Pictures with captions, and tokenizers to encode them.
pub struct Bench(tempfile::TempDir);

impl Bench {
    /// Six pictures and their table.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pictures = folder.path().join("pictures");
        fs::create_dir(&pictures).unwrap();
        let mut table = "file,name,style,size\n".to_owned();
        for at in 0..6 {
            let name = format!("{at}.png");
            picture(&pictures, &name, 20 + 3 * at, 24 + at);
            table += &format!(
                "{name},{} square,{},small\n",
                ["red", "blue"][at as usize % 2],
                ["flat", "noto"][at as usize % 2]
            );
        }
        fs::write(folder.path().join("labels.csv"), table).unwrap();
        Self(folder)
    }

    /// A path in the folder.
    pub fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A tokenizer of this configuration with random weights.
    pub fn tokenizer(&self, name: &str, document: &Value) -> PathBuf {
        random_tokenizer(&self.at(name), document);
        self.at(name)
    }

    /// Trains a generator for two steps and gives its folder.
    pub fn train(&self, name: &str, tokenizer: &Path, architecture: &Value) -> Command {
        let config = self.at(&format!("{name}.json"));
        fs::write(&config, architecture.to_string()).unwrap();
        let mut command = tessera();
        let source = format!(
            "{{path = {:?}, labels = {:?}, caption_column = \"name\", tags = [\"style\", \"size\"]}}",
            self.at("pictures"),
            self.at("labels.csv")
        );
        command.args(["train", "--steps", "2", "--batch-size", "2", "--checkpoint-every", "1", "--views", "1"]);
        command.args(["--validate-every", "2", "--validation-pictures", "3", "--sample-pictures", "2"]);
        command.args(["--sample", "style=flat red", "--data", &source, "--validation", &source]);
        command.arg("--architecture").arg(&config).arg("--out").arg(self.at(name));
        command.arg("--tokenizer").arg(tokenizer);
        command
    }

    /// A configuration without weights.
    pub fn document(&self, name: &str, document: &Value) -> PathBuf {
        let folder = self.at(name);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("config.json"), document.to_string()).unwrap();
        folder
    }

    /// Trains a generator for two steps, and lets it make three pictures.
    pub fn train_and_generate(&self, run: &str, tokenizer: &Path, architecture: &Value) {
        let wishes = ["--count", "3", "--style", "noto", "--prompt", "blue square"];
        self.run_and_generate(run, tokenizer, self.train(run, tokenizer, architecture), &wishes);
    }

    /// As [`Bench::train_and_generate`], of shapes.
    pub fn shapes(&self, run: &str, tokenizer: &Path, architecture: &Value) {
        let config = self.at(&format!("{run}.json"));
        fs::write(&config, architecture.to_string()).unwrap();
        let mut command = tessera();
        command.args(["train", "--steps", "2", "--batch-size", "2", "--checkpoint-every", "100", "--shapes", "9"]);
        command.args(["--validation-pictures", "3", "--sample-pictures", "2", "--sample", "class=twist"]);
        command.args(["--lattice", "17", "--sample-lattice", "9", "--architecture"]).arg(&config);
        command.arg("--out").arg(self.at(run)).arg("--tokenizer").arg(tokenizer);
        // Models of captions know families as tags, xAR as numbers.
        let class = if run.ends_with("xar") { "5" } else { "chain" };
        self.run_and_generate(run, tokenizer, command, &["--count", "2", "--class", class, "--resolution", "9"]);
    }

    /// Runs a training, and generates with what it made.
    fn run_and_generate(&self, run: &str, tokenizer: &Path, mut train: Command, wishes: &[&str]) {
        let report: Value = serde_json::from_str(&printed(train.arg("--json"))).unwrap();
        assert!(report["validation"]["loss"].as_f64().is_some_and(f64::is_finite), "{run}: {report}");
        let (grid, parts) = (self.at(&format!("{run}.png")), self.at(&format!("{run}-parts")));
        let mut generate = tessera();
        generate.arg("generate").args(wishes).args(["--quiet", "--model"]).arg(self.at(run));
        generate.arg("--tokenizer").arg(tokenizer).arg("-o").arg(&grid).arg("--parts").arg(&parts);
        printed(&mut generate);
        let codes = ["tokens.tsr", "latents.safetensors"].map(|name| parts.join(name).is_file());
        assert!(grid.is_file() && codes[0] != codes[1] && codes[1] == run.ends_with("xar"), "{run}: {codes:?}");
    }
}
