//! Where a model's parameters come from: a checkpoint, a seed, or nowhere (a listing of names and shapes).

use std::cell::RefCell;

use burn::module::{Param, ParamId};
use burn::tensor::{Device, Shape, Tensor, TensorData};

use crate::Init;
use crate::checkpoint::{CheckpointError, ContentHash, Renames, TensorEntry, Weights};

/// A parameter as the released file holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct ParamSpec {
    /// Released tensor name.
    pub name: String,
    /// Shape in the file.
    pub shape: Vec<usize>,
    /// Identity of the parameter in memory.
    pub id: ParamId,
    /// How memory holds it.
    pub form: Form,
    /// How it starts when no checkpoint gives it.
    pub init: Init,
}

/// How a parameter of the file stands in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As in the file.
    Same,
    /// `[rows, rest...]` of the file as the matrix `[rest, rows]`.
    MatrixTransposed,
}

/// Result of making a module.
pub type ParamResult<T> = Result<T, CheckpointError>;

/// The parameters of one module: a name prefix into a shared source.
///
/// A model is written once, as a constructor that asks for each tensor by its released name and shape. The same
/// code loads a checkpoint, starts a training, and lists what a checkpoint must hold without allocating it.
#[derive(Clone)]
pub struct Params<'a> {
    source: &'a ParamSource<'a>,
    prefix: String,
}

/// Where tensors come from, and the list of those that were taken.
pub struct ParamSource<'a> {
    origin: Origin<'a>,
    edit: Option<Edit<'a>>,
    device: Device,
    taken: RefCell<Vec<ParamSpec>>,
    hash: RefCell<ContentHash>,
}

/// Another start for the parameter of this name and file shape than the model's own.
type Adjust<'a> = &'a dyn Fn(&str, &[usize], Init) -> Init;

/// Changes the values drawn for the parameter of this name and file shape.
type Edit<'a> = &'a dyn Fn(&str, &[usize], &mut [f32]);

enum Origin<'a> {
    Listing,
    Seed(u64, Adjust<'a>),
    Weights { weights: &'a Weights, prefix: &'a str, renames: Option<&'a Renames> },
}

impl<'a> ParamSource<'a> {
    /// Lists names and shapes; the module that comes out must not be run and holds no memory.
    pub fn listing() -> Self {
        Self::new(Origin::Listing, Device::flex())
    }

    /// Starting values drawn from `seed`.
    pub fn seeded(seed: u64, device: &Device) -> Self {
        Self::seeded_with(seed, device, &|_, _, init| init)
    }

    /// Starting values drawn from `seed`, each from what `adjust` makes of its name, shape in the file and the model's
    /// own distribution.
    pub fn seeded_with(seed: u64, device: &Device, adjust: Adjust<'a>) -> Self {
        Self::new(Origin::Seed(seed, adjust), device.clone())
    }

    /// Has `edit` change what is drawn: values in the file's arrangement, by name and shape in the file.
    #[must_use]
    pub fn edited(self, edit: Edit<'a>) -> Self {
        Self { edit: Some(edit), ..self }
    }

    /// Tensors read from `weights` under `prefix` (empty for a file that holds one model).
    ///
    /// Names and shapes are trusted here: compare the [`ParamSource::listing`] with the file first, as
    /// `load_strict` does.
    pub fn weights(weights: &'a Weights, prefix: &'a str, device: &Device) -> Self {
        Self::new(Origin::Weights { weights, prefix, renames: None }, device.clone())
    }

    /// [`ParamSource::weights`] of a file that has other names for some tensors. What is taken keeps the model's names.
    pub fn renamed_weights(weights: &'a Weights, renames: &'a Renames, device: &Device) -> Self {
        Self::new(Origin::Weights { weights, prefix: "", renames: Some(renames) }, device.clone())
    }

    fn new(origin: Origin<'a>, device: Device) -> Self {
        Self { origin, edit: None, device, taken: RefCell::default(), hash: RefCell::default() }
    }

    /// The root of the names.
    pub fn root(&'a self) -> Params<'a> {
        Params { source: self, prefix: String::new() }
    }

    /// Hash of what was taken so far, whether read or drawn.
    pub fn content_hash(&self) -> ContentHash {
        self.hash.borrow().clone()
    }

    /// What was taken, in order.
    pub fn into_taken(self) -> Vec<ParamSpec> {
        self.taken.into_inner()
    }
}

impl<'a> Params<'a> {
    /// The parameters below `name`.
    pub fn at(&self, name: impl std::fmt::Display) -> Self {
        Self { source: self.source, prefix: self.full(name) }
    }

    /// The device that the parameters go to.
    pub fn device(&self) -> &Device {
        &self.source.device
    }

    /// Whether values are drawn from a seed, rather than read or only listed.
    pub fn is_seeded(&self) -> bool {
        matches!(self.source.origin, Origin::Seed(..))
    }

    /// Whether names and shapes are only listed: the module that is made will not be run.
    pub fn is_listing(&self) -> bool {
        matches!(self.source.origin, Origin::Listing)
    }

    fn full(&self, name: impl std::fmt::Display) -> String {
        match self.prefix.as_str() {
            "" => name.to_string(),
            prefix => format!("{prefix}.{name}"),
        }
    }

    /// A tensor held as in the file.
    pub fn tensor<const D: usize>(&self, name: &str, shape: [usize; D], init: Init) -> ParamResult<Param<Tensor<D>>> {
        self.take(name, &shape, shape, Form::Same, init, |tensor| tensor)
    }

    /// A matrix `[rows, columns]` of the file, held as `[columns, rows]`.
    pub fn matrix_transposed(
        &self,
        name: &str,
        [rows, columns]: [usize; 2],
        init: Init,
    ) -> ParamResult<Param<Tensor<2>>> {
        self.transposed(name, &[rows, columns], init)
    }

    /// A 1x1 convolution weight `[rows, columns, 1, 1]` of the file, held as `[columns, rows]`.
    pub fn pointwise_transposed(
        &self,
        name: &str,
        [rows, columns]: [usize; 2],
        init: Init,
    ) -> ParamResult<Param<Tensor<2>>> {
        self.transposed(name, &[rows, columns, 1, 1], init)
    }

    /// A convolution weight `[rows, channels, patch, patch]` of the file, held as `[channels * patch^2, rows]`.
    pub fn patch_matrix_transposed(&self, name: &str, shape: [usize; 4], init: Init) -> ParamResult<Param<Tensor<2>>> {
        self.transposed(name, &shape, init)
    }

    fn transposed(&self, name: &str, shape: &[usize], init: Init) -> ParamResult<Param<Tensor<2>>> {
        let rows = shape.first().copied().unwrap_or(1);
        let columns = shape.iter().skip(1).product();
        // A view: products read either order at the same speed, and nothing is copied at load.
        let form = Form::MatrixTransposed;
        self.take(name, shape, [rows, columns], form, init, |matrix: Tensor<2>| matrix.transpose())
    }

    fn take<const D: usize>(
        &self,
        name: &str,
        file_shape: &[usize],
        shape: [usize; D],
        form: Form,
        init: Init,
        arrange: impl Fn(Tensor<D>) -> Tensor<D>,
    ) -> ParamResult<Param<Tensor<D>>> {
        let name = self.full(name);
        let id = ParamId::new();
        let spec = ParamSpec { name: name.clone(), shape: file_shape.to_vec(), id, form, init };
        self.source.taken.borrow_mut().push(spec);
        let count = file_shape.iter().product();
        let values = match &self.source.origin {
            Origin::Listing => return Ok(unread(id, shape, form)),
            Origin::Seed(seed, adjust) => {
                let mut values = adjust(&name, file_shape, init).values(count, *seed, &name);
                if let Some(edit) = self.source.edit {
                    edit(&name, file_shape, &mut values);
                }
                values
            }
            Origin::Weights { weights, prefix, renames } => {
                let name = format!("{prefix}{name}");
                weights.read_f32(renames.map_or(name.as_str(), |renames| renames.stored(&name)))?
            }
        };
        self.source.hash.borrow_mut().add(&name, file_shape, &values);
        let tensor = arrange(Tensor::from_data(TensorData::new(values, shape), &self.source.device));
        let trained = self.source.device.is_autodiff();
        Ok(Param::initialized(id, if trained { tensor.require_grad() } else { tensor }))
    }
}

/// A parameter that would be zeros if it were ever read; it never is in a listing.
fn unread<const D: usize>(id: ParamId, mut shape: [usize; D], form: Form) -> Param<Tensor<D>> {
    if form == Form::MatrixTransposed {
        shape.reverse();
    }
    Param::uninitialized(id, move |device, _| Tensor::zeros(shape, device), Device::flex(), false, Shape::from(shape))
}

/// The names and shapes of a listing, as [`crate::checkpoint`] compares them.
pub fn entries(specs: &[ParamSpec]) -> Vec<TensorEntry> {
    specs.iter().map(|spec| TensorEntry { name: spec.name.clone(), shape: spec.shape.clone() }).collect()
}
