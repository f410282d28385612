//! Ids in the order of decoding: what of them stands already, and reading what was found.

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::{Content, GeneratorError, GeneratorInfo, Given};

/// Tokens that stay: ids and marks by place in the order of decoding, `[rows, tokens]`.
pub(crate) struct Kept {
    ids: Tensor<2, Int>,
    /// 1 where a token stays.
    marks: Tensor<2, Int>,
}

impl Kept {
    /// The kept positions of given tokens, the same for every row where there is one item. `positions` are those of the layout by
    /// place in the order.
    ///
    /// # Errors
    /// [`GeneratorError::Unfit`] if they are not such as the generator makes, or neither one item nor one for each row.
    pub(crate) fn of(
        given: &Given,
        info: &GeneratorInfo,
        rows: usize,
        positions: &[usize],
        device: &Device,
    ) -> Result<Self, GeneratorError> {
        let Given::Tokens(tokens) = given else {
            return Err(GeneratorError::Unfit("the generator makes ids: latents cannot be completed by it".to_owned()));
        };
        let content = Content::Codes { vocab: tokens.vocab().to_vec() };
        if *tokens.layout() != info.layout || content != info.content {
            return Err(GeneratorError::Unfit(format!(
                "the given tokens ({}, vocabulary {:?}) are not such as the generator makes ({}, {:?})",
                tokens.layout(),
                tokens.vocab(),
                info.layout,
                info.content
            )));
        }
        if tokens.batch() != rows && tokens.batch() != 1 {
            return Err(GeneratorError::Unfit(format!("{} given items for {rows} samples", tokens.batch())));
        }
        let item = |row: usize| if tokens.batch() == 1 { 0 } else { row };
        let places = || (0..rows).flat_map(|row| positions.iter().map(move |at| item(row) * positions.len() + at));
        let ids = places().map(|at| tokens.ids().get(at).and_then(|&id| i32::try_from(id).ok()).unwrap_or(0));
        let stays = |at: usize| tokens.kept().is_none_or(|kept| kept.get(at).copied().unwrap_or(false));
        let marks = places().map(|at| i32::from(stays(at)));
        let tensor = |values: Vec<i32>| Tensor::from_data(TensorData::new(values, [rows, positions.len()]), device);
        Ok(Self { ids: tensor(ids.collect()), marks: tensor(marks.collect()) })
    }

    /// Drawn ids `[rows, count]` of the places from `from` on, with those that stay in their places.
    pub(crate) fn put(&self, drawn: Tensor<2, Int>, from: usize) -> Tensor<2, Int> {
        let [_, count] = drawn.dims();
        let (ids, marks) = (self.ids.clone().narrow(1, from, count), self.marks.clone().narrow(1, from, count));
        drawn.clone() + (ids - drawn) * marks
    }
}

/// Ids found so far, step by step `[rows, count]`, by position of the layout: `[rows, positions]` row by row. Reads them from the
/// device.
///
/// # Errors
/// [`GeneratorError::Device`] if they cannot be read.
pub(crate) fn known(found: &[Tensor<2, Int>], positions: &[usize]) -> Result<Vec<Option<u32>>, GeneratorError> {
    let found = Tensor::cat(found.to_vec(), 1);
    let [rows, count] = found.dims();
    let ids = read_ids(found)?;
    let mut known = vec![None; rows * positions.len()];
    for (row, ids) in ids.chunks(count.max(1)).enumerate() {
        for (&id, &position) in ids.iter().zip(positions) {
            if let Some(place) = known.get_mut(row * positions.len() + position) {
                *place = Some(id);
            }
        }
    }
    Ok(known)
}

/// Ids `[rows, count]`, row by row, read from the device.
///
/// # Errors
/// [`GeneratorError::Device`] if they cannot be read.
pub(crate) fn read_ids(ids: Tensor<2, Int>) -> Result<Vec<u32>, GeneratorError> {
    let id = |id: i64| u32::try_from(id).map_err(|_| GeneratorError::Device(format!("the device returned id {id}")));
    let data = ids.try_into_data().map_err(|error| GeneratorError::of_device(&error))?;
    data.iter::<i64>().map(id).collect()
}

/// Positions or places as an index on the device.
pub(crate) fn index(places: impl IntoIterator<Item = usize>, device: &Device) -> Tensor<1, Int> {
    let places: Vec<i32> = places.into_iter().map(|place| i32::try_from(place).unwrap_or(0)).collect();
    let count = places.len();
    Tensor::from_data(TensorData::new(places, [count]), device)
}
