//! Cases of sampling: guidance, filters, and draws with given random numbers.

use burn::tensor::{Device, Tensor};
use serde::Deserialize;
use tessera_shaders::{Chance, Filter, filtered_probabilities, sample_logits};

use super::inputs::float_input;
use super::{Case, CaseError, Value, Values};

#[derive(Deserialize)]
struct Described {
    cases: Vec<Part>,
}

/// One way to draw, of a case that holds several.
#[derive(Deserialize)]
struct Part {
    name: String,
    cfg_scale: f32,
    temperature: f32,
    top_k: usize,
    top_p: f32,
}

/// A random number so near to a boundary between two ids may fall to either side of it.
const MARGIN: f32 = 1e-5;

pub(super) fn run(case: &Case, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    if case.kind != "sampling" {
        let (system, kind) = (case.system.clone(), case.kind.clone());
        return Err(CaseError::UnknownKind { system, kind, known: "sampling" });
    }
    let described: Described = serde_json::from_value(case.config.clone())
        .map_err(|error| CaseError::input("config.json", "a list \"cases\" of ways to draw", error.to_string()))?;
    let conditional = float_input::<2>(case, "cond_logits", device)?;
    let unconditional = float_input::<2>(case, "uncond_logits", device)?;
    let ([rows, draws], uniform) = case.floats::<2>("uniform")?;
    if unconditional.dims() != conditional.dims() || rows != conditional.dims()[0] {
        let found = format!("{:?}, {:?} and [{rows}, {draws}]", conditional.dims(), unconditional.dims());
        return Err(CaseError::input("inputs of the case", "as many rows in all of them", found));
    }
    let numbers = float_input::<2>(case, "uniform", device)?;
    let host = |tensor: Tensor<2>| tensor.into_data().iter::<f32>().collect::<Vec<f32>>();
    let given = host(conditional.clone());
    for part in described.cases {
        let Part { name, cfg_scale, temperature, top_k, top_p } = part;
        let filter = Filter { temperature, top_k, top_p };
        let both = || (conditional.clone(), Some(unconditional.clone()));
        let (c, u) = both();
        let (combined, probabilities) = filtered_probabilities(c, u, cfg_scale, filter);
        let [_, codes] = combined.dims();
        values.integers(&format!("{name}.argmax"), probabilities.clone().argmax(1).flatten::<1>(0, 1));
        values.floats(&format!("{name}.combined_logits"), combined);
        let probability = host(probabilities.clone());
        let kept = probability.iter().map(|&share| i64::from(share > 0.0)).collect();
        values.insert(&format!("{name}.kept"), Value::Integers(vec![rows, codes], kept));
        values.floats(&format!("{name}.probs"), probabilities);

        let columns = (0..draws).map(|column| {
            let (c, u) = both();
            let column = numbers.clone().narrow(1, column, 1).flatten::<1>(0, 1);
            sample_logits(c, u, cfg_scale, filter, Chance::Given(column))
        });
        let drawn = Tensor::stack::<2>(columns.collect(), 1);
        values.integers(&format!("{name}.inverse_cdf_index"), drawn);

        let (rows_of, numbers_of) = (probability.chunks(codes.max(1)), uniform.chunks(draws.max(1)));
        let safe = rows_of.zip(numbers_of).flat_map(|(row, numbers)| {
            let sums = row.iter().scan(0.0, |sum, share| {
                *sum += share;
                Some(*sum)
            });
            let sums: Vec<f32> = sums.collect();
            let far = move |number: &f32| !sums.iter().any(|sum| (sum - number).abs() < MARGIN);
            numbers.iter().map(move |number| i64::from(far(number)))
        });
        values.insert(&format!("{name}.inverse_cdf_safe"), Value::Integers(vec![rows, draws], safe.collect()));
        // Which of equal logits a share of the probability keeps is a matter of sorting.
        let sorted = given.chunks(codes.max(1)).map(|row| i64::from(top_p >= 1.0 || !has_equals(row)));
        values.insert(&format!("{name}.rows_checked"), Value::Integers(vec![rows], sorted.collect()));
        leave_out(case, values, &name, codes)?;
    }
    Ok(())
}

/// What the case itself says is not to be compared: rows whose filters depend on sorting, draws beside a boundary, and which of
/// several most likely ids comes first.
fn leave_out(case: &Case, values: &mut Values, name: &str, codes: usize) -> Result<(), CaseError> {
    let Some(expected) = case.expected.first() else { return Ok(()) };
    let marks = |part: &str| -> Result<Vec<bool>, CaseError> {
        let name = format!("{name}.{part}");
        match values.wants(&name) {
            true => Ok(expected.read_i64(&name)?.into_iter().map(|mark| mark != 0).collect()),
            false => Ok(Vec::new()),
        }
    };
    let (rows, draws) = (marks("rows_checked")?, marks("inverse_cdf_safe")?);
    let probabilities = match values.wants(&format!("{name}.probs")) {
        true => expected.read_f32(&format!("{name}.probs"))?,
        false => Vec::new(),
    };
    let has_one_peak = |row: &[f32]| {
        let highest = row.iter().copied().fold(0.0, f32::max);
        row.iter().filter(|&&share| share == highest).count() == 1
    };
    let peaks = probabilities.chunks(codes.max(1)).map(has_one_peak);
    let peaks = rows.iter().copied().zip(peaks.chain(std::iter::repeat(true))).map(|(row, peak)| row && peak).collect();
    let wide = rows.iter().flat_map(|&row| std::iter::repeat_n(row, codes)).collect::<Vec<bool>>();
    let a_row = draws.len().checked_div(rows.len()).unwrap_or(1).max(1);
    let draws =
        draws.chunks(a_row).zip(rows).flat_map(|(draws, row)| draws.iter().map(move |&draw| draw && row)).collect();
    values.check_only(&format!("{name}.kept"), wide.clone());
    values.check_only(&format!("{name}.probs"), wide);
    values.check_only(&format!("{name}.argmax"), peaks);
    values.check_only(&format!("{name}.inverse_cdf_index"), draws);
    Ok(())
}

fn has_equals(row: &[f32]) -> bool {
    let mut sorted = row.to_vec();
    sorted.sort_by(f32::total_cmp);
    sorted.windows(2).any(|pair| pair.first() == pair.last())
}
