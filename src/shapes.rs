//! Meshes through a tokenizer of shapes.

use burn::tensor::{Device, Tensor, TensorData};
use tessera_datasets::shape::{
    ExampleOptions, FieldFailure, Lattice, Mesh, MeshShape, Point, ShapeExample, Sparse, SurfaceOptions,
    SurfaceSampler, extract_surface,
};
use tessera_tokenizers::vat::{OccupancyField, RefineOptions, Supervision};
use tessera_tokenizers::{
    DecodeOptions, Input, InputKind, TokenFile, TokenLayout, Tokenizer, TokenizerError, TokenizerInfo, Tokens,
};

use crate::Error;

/// Samples along each side of the box in which the command line looks for a surface, unless told otherwise.
pub const DEFAULT_RESOLUTION: usize = 129;

/// Shapes whose planes are in memory at once.
const AT_ONCE: usize = 4;

/// The most places that a field is asked for at once.
const MOST_PLACES: usize = 1 << 16;

/// Whether a tokenizer takes points on surfaces and gives shapes.
pub fn is_of_shapes(info: &TokenizerInfo) -> bool {
    matches!(info.input, InputKind::Points { .. })
}

/// How many leading tokens there are up to the end of each scale, from coarse to fine; empty where tokens do not stand in scales.
pub fn scale_ends(layout: &TokenLayout) -> Vec<usize> {
    let TokenLayout::Scales { counts } = layout else { return Vec::new() };
    let ends = counts.iter().scan(0_usize, |end, &count| {
        *end = end.saturating_add(usize::try_from(count).unwrap_or(usize::MAX));
        Some(*end)
    });
    ends.collect()
}

/// What a tokenizer of shapes sees of a mesh: points `[1, points, 3]` on its surface, drawn from `seed`, and their normals where
/// `kind` says so. The mesh is centred first, with the longest half of its box at 0.95.
///
/// # Errors
/// [`Error::NotOfShapes`] if `kind` is no points, [`Error::Shape`] for a mesh without faces, length or area.
pub fn surface_input(mesh: &Mesh, kind: InputKind, seed: u64, device: &Device) -> Result<Input, Error> {
    let InputKind::Points { count, with_normals } = kind else { return Err(Error::NotOfShapes) };
    let mesh = mesh.normalised()?;
    let drawn = SurfaceSampler::new(&mesh)?.draw(count, seed);
    let tensor = |numbers: Vec<f32>| Tensor::<3>::from_data(TensorData::new(numbers, [1, count, 3]), device);
    let places = drawn.iter().flat_map(|point| point.place.iter().copied()).map(|number| number as f32).collect();
    let normals = || drawn.iter().flat_map(|point| point.normal.iter().copied()).map(|number| number as f32).collect();
    Ok(Input::Points { points: tensor(places), normals: with_normals.then(|| tensor(normals())) })
}

/// Encodes a mesh of any place and size; tokens do not hold these. The same seed draws the same points.
///
/// ```
/// use tessera::datasets::shape::Solid;
/// use tessera::tokenizers::{ModelConfig, vat::VatConfig};
/// use tessera::{DecodeOptions, Error, decode_shape, encode_shape, scale_ends};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let mut config = VatConfig::preset("vat-512b").ok_or("no such preset")?;
/// # (config.num_latents, config.quantizer.scales) = (4, vec![1, 2, 4]);
/// # (config.encoder.dim, config.encoder.depth, config.input.num_points) = (16, 1, 64);
/// # (config.decoder.dim, config.decoder.depth, config.decoder.plane_tokens) = (16, 1, 2);
/// # (config.triplane.channels, config.triplane.norm_groups) = (vec![8, 8], 4);
/// let device = burn::tensor::Device::flex();
/// let tokenizer = ModelConfig::Vat(config).random(0, &device)?; // or `from_pretrained("folder or file", &device)?`
/// let mesh = Solid::Sphere { radius: 0.5 }.mesh(17)?; // or `load_mesh(path)?`
///
/// let file = encode_shape(&*tokenizer, &mesh, 0, &device)?;
/// assert_eq!(scale_ends(file.tokens.layout()), [1, 3, 7]);
/// match decode_shape(&*tokenizer, &file.tokens, &DecodeOptions::prefix(3), 17) {
///     Ok(coarse) => assert!(!coarse.is_empty()),
///     Err(Error::NoSurface { .. }) => {} // random weights may hold nothing
///     Err(error) => return Err(error.into()),
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`surface_input`]; [`Error::Tokenizer`] if the model fails.
pub fn encode_shape(tokenizer: &dyn Tokenizer, mesh: &Mesh, seed: u64, device: &Device) -> Result<TokenFile, Error> {
    let input = surface_input(mesh, tokenizer.info().input, seed, device)?;
    Ok(TokenFile::new(tokenizer.encode(&input)?))
}

/// Encodes a mesh as [`encode_shape`], then goes on for `options.steps` steps to tokens that decode nearer to it ([`Tokenizer::refine`]).
/// Open meshes have an inside too: where the winding number is over a half.
///
/// # Errors
/// As [`encode_shape`]; [`Error::Tokenizer`] if the model cannot.
pub fn refine_shape(
    tokenizer: &dyn Tokenizer,
    mesh: &Mesh,
    seed: u64,
    options: &RefineOptions,
    device: &Device,
) -> Result<TokenFile, Error> {
    const VOLUME: usize = 8192;
    const NEAR: usize = 32_768;
    let input = surface_input(mesh, tokenizer.info().input, seed, device)?;
    let counts = ExampleOptions { points: 0, volume: VOLUME, near: NEAR, deviations: vec![0.01, 0.02, 0.05] };
    let ShapeExample { volume, near, .. } = MeshShape::new(mesh)?.example(&counts, seed)?;
    let labelled = [volume, near];
    let places: Vec<f32> = labelled.iter().flat_map(|sort| sort.places.as_flattened().iter().copied()).collect();
    let labels: Vec<f32> =
        labelled.iter().flat_map(|sort| sort.inside.iter().map(|&inside| f32::from(u8::from(inside)))).collect();
    let count = labels.len();
    let truth = Supervision {
        points: Tensor::from_data(TensorData::new(places, [1, count, 3]), device),
        labels: Tensor::from_data(TensorData::new(labels, [1, count]), device),
        volume: VOLUME,
    };
    Ok(TokenFile::new(tokenizer.refine(&input, &truth, options)?))
}

/// Decodes the tokens of one shape to a closed mesh in the model's box, from `resolution` (2 to 1025) samples along each side.
///
/// # Errors
/// As [`decode_shapes`]; [`Error::SeveralShapes`] for tokens of more than one, [`Error::NoSurface`] if nothing of the field is inside.
pub fn decode_shape(
    tokenizer: &dyn Tokenizer,
    tokens: &Tokens,
    options: &DecodeOptions,
    resolution: usize,
) -> Result<Mesh, Error> {
    if tokens.batch() > 1 {
        return Err(Error::SeveralShapes { items: tokens.batch() });
    }
    let mesh = decode_shapes(tokenizer, tokens, options, resolution, &mut |_| {})?.pop().unwrap_or_default();
    if mesh.is_empty() { Err(Error::NoSurface { item: 0 }) } else { Ok(mesh) }
}

/// Decodes the tokens of any number of shapes as [`decode_shape`]; a shape without a surface gives an empty mesh. `progress` hears
/// how many are done.
///
/// # Errors
/// [`Error::NotOfShapes`] if the model makes something else, [`Error::NothingLeft`] for tokens of no shape, [`Error::Tokenizer`] if
/// they are another model's or not enough, [`Error::Shape`] for another resolution or a field that is no number somewhere.
pub fn decode_shapes(
    tokenizer: &dyn Tokenizer,
    tokens: &Tokens,
    options: &DecodeOptions,
    resolution: usize,
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<Mesh>, Error> {
    if !is_of_shapes(tokenizer.info()) {
        return Err(Error::NotOfShapes);
    }
    if tokens.batch() == 0 {
        return Err(Error::NothingLeft);
    }
    let mut meshes = Vec::with_capacity(tokens.batch());
    while meshes.len() < tokens.batch() {
        let start = meshes.len();
        let count = AT_ONCE.min(tokens.batch() - start);
        let part = tokens.items(start, count).map_err(TokenizerError::from)?;
        let field = tokenizer.decode(&part, options)?.into_field().ok_or(Error::NotOfShapes)?;
        for item in 0..count {
            meshes.push(surface_of(&field, item, resolution)?);
            progress(meshes.len());
        }
    }
    Ok(meshes)
}

/// The surface of item `item` of a field, closed at the border of its box; an empty mesh if nothing is inside. The field is asked
/// near the surface only.
///
/// # Errors
/// [`Error::Shape`] for a resolution out of 2 to 1025, or a field that is no number somewhere or cannot be evaluated.
pub fn surface_of(field: &OccupancyField, item: usize, resolution: usize) -> Result<Mesh, Error> {
    let lattice = Lattice::new(resolution, field.bounds())?;
    let mut options = SurfaceOptions::new(lattice).sparse(Sparse::fitting(lattice));
    options.batch = field.chunk().clamp(1, MOST_PLACES);
    let mut values = |places: &[Point]| {
        let places: Vec<[f32; 3]> = places.iter().map(|place| [place.x, place.y, place.z].map(|x| x as f32)).collect();
        field.evaluate(item, &places).map_err(FieldFailure::from)
    };
    Ok(extract_surface(&options, &mut values)?.mesh)
}
