//! Do pictures of a class lie together? Accuracy of the nearest neighbours' vote.

use burn::tensor::{Device, Tensor, TensorData};
use serde::Serialize;
use tessera_datasets::Example;
use tessera_layers::perceptual::{EfficientNetLite0, Resampling, resize};
use tessera_tokenizers::{Input, Tokenizer, TokenizerError};

use crate::Error;
use crate::squares::{at_once, to_tensor};

/// Side of the small pictures that are compared as they are.
const PIXELS: usize = 8;
/// Side of the pictures that the network sees.
const SIDE: usize = 128;
/// Pictures that are compared with all others at once.
const AT_ONCE: usize = 256;

/// Vectors of one kind for pictures of known classes.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledVectors {
    /// What they are made of.
    pub name: String,
    /// Channels.
    pub width: usize,
    /// One after the other.
    pub values: Vec<f32>,
    /// The class of each.
    pub labels: Vec<u32>,
}

/// How often the vote of the nearest neighbours is right.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NeighbourFigure {
    /// What pictures were compared by.
    pub vectors: String,
    /// Channels of a vector.
    pub width: usize,
    /// Share of right votes, 0..=1.
    pub accuracy: f64,
}

/// What a comparison of pictures by their neighbours found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NeighbourReport {
    /// Neighbours that vote.
    pub neighbours: usize,
    /// Pictures that were judged.
    pub pictures: usize,
    /// Pictures that neighbours were looked for among.
    pub among: usize,
    /// Whether these are the same pictures, each left out for itself.
    pub leave_one_out: bool,
    /// Classes of the judged pictures.
    pub classes: usize,
    /// Share of the largest of them: what is right without looking.
    pub largest_class: f64,
    /// One for each kind of vectors; behind the model's those of the pixels themselves, 8 by 8 of them, and of EfficientNet-Lite0, where
    /// it takes part.
    pub figures: Vec<NeighbourFigure>,
}

/// The vectors that a tokenizer has for pictures (see [`Tokenizer::item_vectors`]), and as controls the pixels and, where it is given,
/// the pooled features of EfficientNet-Lite0, which sees pictures brought to 128 pixels. Pictures without a class are passed over.
///
/// # Errors
/// [`Error`] if the pictures do not fit the model.
pub fn labelled_vectors(
    tokenizer: &dyn Tokenizer,
    examples: &[Example],
    network: Option<&EfficientNetLite0>,
    device: &Device,
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<LabelledVectors>, Error> {
    let mut found: Vec<LabelledVectors> = Vec::new();
    let labelled: Vec<&Example> = examples.iter().filter(|example| example.label.is_some()).collect();
    for part in labelled.chunks(at_once(tokenizer.info())) {
        let pictures: Vec<_> = part.iter().map(|example| example.picture.clone()).collect();
        let images = to_tensor(&pictures, device);
        let mut kinds = tokenizer.item_vectors(&Input::Images(images.clone()))?;
        kinds.push(("pixels, 8 x 8", small(images.clone())));
        kinds.extend(network.map(|network| {
            let enlarged = resize(images, [SIDE; 2], Resampling::Bilinear);
            ("EfficientNet-Lite0", network.pooled(enlarged))
        }));
        for (index, (name, vectors)) in kinds.into_iter().enumerate() {
            let [_, width] = vectors.dims();
            let values = vectors.into_data().try_to_vec::<f32>();
            let values = values.map_err(|error| TokenizerError::Device(format!("{error:?}")))?;
            if found.len() <= index {
                found.push(LabelledVectors { name: name.to_owned(), width, values: Vec::new(), labels: Vec::new() });
            }
            if let Some(kind) = found.get_mut(index) {
                kind.values.extend(values);
                kind.labels.extend(part.iter().filter_map(|example| example.label));
            }
        }
        progress(part.len());
    }
    Ok(found)
}

/// The means of a grid of 8 by 8 cells, `[batch, 3 * 64]`; smaller pictures as they are.
fn small(images: Tensor<4>) -> Tensor<2> {
    let [batch, channels, height, width] = images.dims();
    let cells = |side: usize| if side >= PIXELS && side.is_multiple_of(PIXELS) { PIXELS } else { side };
    let (rows, columns) = (cells(height), cells(width));
    let cut = images.reshape([batch, channels, rows, height / rows, columns, width / columns]);
    cut.mean_dim(3).mean_dim(5).reshape([batch, channels * rows * columns])
}

/// The vote of the `neighbours` nearest: the class that most of them have, the nearest one's among equals. Vectors are compared by the
/// cosine of their angle, after the mean of `among` was taken from all. Without `among` neighbours are looked for in `judged` itself,
/// each picture left out for itself.
pub fn neighbour_accuracy(
    judged: &LabelledVectors,
    among: Option<&LabelledVectors>,
    neighbours: usize,
    device: &Device,
) -> f64 {
    let (others, width) = (among.unwrap_or(judged), judged.width.max(1));
    let mean = mean(&others.values, width);
    let (rows, keys) = (unit(&judged.values, &mean, width), unit(&others.values, &mean, width));
    let upload = |values: &[f32]| {
        Tensor::<2>::from_data(TensorData::new(values.to_vec(), [values.len() / width, width]), device)
    };
    let keys = upload(&keys).transpose();
    let mut right = 0;
    for (part, rows) in rows.chunks(AT_ONCE * width).enumerate() {
        let likeness: Vec<f32> = upload(rows).matmul(keys.clone()).into_data().iter().collect();
        for (index, row) in likeness.chunks_exact(others.labels.len().max(1)).enumerate() {
            let own = part * AT_ONCE + index;
            let mut order: Vec<usize> = (0..row.len()).filter(|&at| among.is_some() || at != own).collect();
            let at = |place: &usize| row.get(*place).copied().unwrap_or(f32::MIN);
            order.sort_by(|a, b| at(b).total_cmp(&at(a)).then(a.cmp(b)));
            let votes: Vec<u32> =
                order.iter().take(neighbours).filter_map(|&place| others.labels.get(place).copied()).collect();
            right += usize::from(winner(&votes).is_some_and(|class| judged.labels.get(own) == Some(&class)));
        }
    }
    right as f64 / judged.labels.len().max(1) as f64
}

/// The class with the most votes; of several the one that comes first.
fn winner(votes: &[u32]) -> Option<u32> {
    let count = |class: u32| votes.iter().filter(|vote| **vote == class).count();
    votes.iter().copied().reduce(|best, class| if count(class) > count(best) { class } else { best })
}

fn mean(values: &[f32], width: usize) -> Vec<f32> {
    let mut sums = vec![0.0_f64; width];
    for row in values.chunks_exact(width) {
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    let rows = (values.len() / width).max(1) as f64;
    sums.into_iter().map(|sum| (sum / rows) as f32).collect()
}

/// Rows less `mean`, of length 1.
fn unit(values: &[f32], mean: &[f32], width: usize) -> Vec<f32> {
    let mut rows = Vec::with_capacity(values.len());
    for row in values.chunks_exact(width) {
        let centred: Vec<f32> = row.iter().zip(mean).map(|(value, mean)| value - mean).collect();
        let length = centred.iter().map(|value| value * value).sum::<f32>().sqrt().max(1e-12);
        rows.extend(centred.iter().map(|value| value / length));
    }
    rows
}

/// Compares pictures by all kinds of vectors. `among` as of [`neighbour_accuracy`], kind by kind.
pub fn compare_neighbours(
    judged: &[LabelledVectors],
    among: Option<&[LabelledVectors]>,
    neighbours: usize,
    device: &Device,
) -> NeighbourReport {
    let labels = judged.first().map(|kind| kind.labels.as_slice()).unwrap_or_default();
    let mut classes: Vec<u32> = labels.to_vec();
    classes.sort_unstable();
    classes.dedup();
    let largest = classes.iter().map(|class| labels.iter().filter(|label| *label == class).count()).max();
    let figure = |(index, kind): (usize, &LabelledVectors)| NeighbourFigure {
        vectors: kind.name.clone(),
        width: kind.width,
        accuracy: neighbour_accuracy(kind, among.and_then(|among| among.get(index)), neighbours, device),
    };
    NeighbourReport {
        neighbours,
        pictures: labels.len(),
        among: among.map_or(labels.len(), |among| among.first().map_or(0, |kind| kind.labels.len())),
        leave_one_out: among.is_none(),
        classes: classes.len(),
        largest_class: largest.unwrap_or(0) as f64 / labels.len().max(1) as f64,
        figures: judged.iter().enumerate().map(figure).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors(values: &[[f32; 2]], labels: &[u32]) -> LabelledVectors {
        LabelledVectors { name: "test".to_owned(), width: 2, values: values.concat(), labels: labels.to_vec() }
    }

    #[test]
    fn most_of_the_nearest_win_and_the_nearest_among_equals() {
        assert_eq!(winner(&[3, 1, 1]), Some(1));
        assert_eq!(winner(&[3, 1, 1, 3, 2]), Some(3));
        assert_eq!(winner(&[]), None);
    }

    #[test]
    fn a_picture_is_not_its_own_neighbour_and_the_mean_is_taken_away() {
        let device = Device::flex();
        // Far from the origin all directions are alike; around their mean there are two.
        let near = vectors(&[[100.0, 101.0], [100.0, 103.0], [100.0, 99.0], [100.0, 97.0]], &[0, 0, 1, 1]);
        assert_eq!(neighbour_accuracy(&near, None, 1, &device), 1.0);
        // Each picture's only neighbour is of the other class.
        let pairs = vectors(&[[1.0, 0.0], [1.0, 0.1], [-1.0, 0.0], [-1.0, 0.1]], &[0, 1, 0, 1]);
        assert_eq!(neighbour_accuracy(&pairs, None, 1, &device), 0.0);
        // Among themselves as others, each finds itself.
        assert_eq!(neighbour_accuracy(&pairs, Some(&pairs), 1, &device), 1.0);
        let report = compare_neighbours(&[near], None, 1, &device);
        assert_eq!((report.classes, report.largest_class, report.pictures), (2, 0.5, 4));
    }
}
