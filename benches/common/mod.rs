//! What the programs that time whole models share.

use std::time::Instant;

use serde_json::{Map, Value, json};

pub type Anything = Box<dyn std::error::Error>;

/// The command line's options, each with its value.
pub fn arguments() -> Result<Vec<(String, String)>, Anything> {
    let mut pairs = Vec::new();
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench"); // what cargo adds
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        pairs.push((word, value));
    }
    Ok(pairs)
}

/// The last result, and seconds of the first run and of the median later one.
pub fn timed<T>(repeat: usize, mut run: impl FnMut() -> Result<T, Anything>) -> Result<(T, [f64; 2]), Anything> {
    let start = Instant::now();
    let mut result = run()?;
    let cold = start.elapsed().as_secs_f64();
    let mut warm = Vec::new();
    for _ in 0..repeat {
        let start = Instant::now();
        result = run()?;
        warm.push(start.elapsed().as_secs_f64());
    }
    warm.sort_by(f64::total_cmp);
    Ok((result, [cold, warm.get(repeat / 2).copied().unwrap_or(cold)]))
}

/// Prints the line that the programs in `benches/peers` print: seconds by name, threads, and bytes of the process at its
/// peak and of the model's weights.
pub fn report(seconds: &[(&str, f64)], parameters: usize) {
    let rounded = |seconds: f64| json!((seconds * 1e4).round() / 1e4);
    let mut line: Map<String, Value> = seconds.iter().map(|&(name, value)| (name.to_owned(), rounded(value))).collect();
    line.insert("threads".to_owned(), json!(std::thread::available_parallelism().map_or(0, usize::from)));
    line.insert("peak_bytes".to_owned(), json!(peak()));
    line.insert("weights_bytes".to_owned(), json!(parameters * 4));
    println!("{}", Value::Object(line));
}

/// The most memory that this process ever held, where Linux tells.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
