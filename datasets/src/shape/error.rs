//! What can go wrong with shapes.

use crate::error::DatasetError;

/// Shorthand for results about shapes.
pub type Result<T> = std::result::Result<T, ShapeError>;

/// The cause that a field reports when it cannot be evaluated.
pub type FieldFailure = Box<dyn std::error::Error + Send + Sync>;

/// Everything that can go wrong between a file and a measured, sampled or drawn shape.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShapeError {
    /// A file could not be read or written, or a picture not be drawn.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The content is no mesh that can be read.
    #[error(
        "expected a PLY, OBJ, STL or glTF mesh in {name:?}, found {found}; the content decides, then the file name"
    )]
    NotAMesh {
        /// Name of the input.
        name: String,
        /// What it looks like.
        found: String,
    },
    /// A file name whose ending names no format that is written.
    #[error("expected a file name that ends in .ply, .obj or .glb, found {name:?}; the ending chooses the format")]
    UnknownEnding {
        /// The file name.
        name: String,
    },
    /// The file contradicts its format or itself.
    #[error("expected a valid {format} mesh in {name:?}, found {problem}; fetch or export it again")]
    Malformed {
        /// Name of the input.
        name: String,
        /// The format.
        format: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// A correct file that needs what is not built.
    #[error("expected a plain {format} mesh in {name:?}, found {feature}, which is not supported; export it without")]
    Unsupported {
        /// Name of the input.
        name: String,
        /// The format.
        format: &'static str,
        /// What it needs.
        feature: String,
    },
    /// The file holds vertices at most.
    #[error("expected triangles in {name:?}, found none; a cloud of points is no mesh")]
    NoFaces {
        /// Name of the input.
        name: String,
    },
    /// More than fits.
    #[error("expected at most {limit} {what}, found {found}; simplify or split the shape")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The most that is allowed.
        limit: u64,
        /// How many there are.
        found: u64,
    },
    /// A coordinate that is no place.
    #[error(
        "expected coordinates that are numbers within +-{limit:e}, found {value} at vertex {vertex}; repair the mesh",
        limit = super::MAX_COORDINATE
    )]
    Coordinate {
        /// Index of the vertex.
        vertex: usize,
        /// The value.
        value: f64,
    },
    /// A face that names a vertex which is not there.
    #[error("expected faces over {vertices} vertices, found vertex {index} in face {face}; repair the mesh")]
    Corner {
        /// Index of the face.
        face: usize,
        /// The vertex that it names.
        index: u64,
        /// How many vertices there are.
        vertices: usize,
    },
    /// A shape that cannot be sampled or scaled.
    #[error("expected a shape of some size, found one of no {what}; leave it out")]
    NoExtent {
        /// What it lacks.
        what: &'static str,
    },
    /// Lists that belong together have different lengths.
    #[error("expected {expected} {what}, found {found}; give one for each")]
    Length {
        /// Of what.
        what: &'static str,
        /// How many are needed.
        expected: usize,
        /// How many were given.
        found: usize,
    },
    /// A setting out of its range.
    #[error("expected {expected} as {what}, found {found}; change the setting")]
    Setting {
        /// The setting.
        what: &'static str,
        /// What would do.
        expected: &'static str,
        /// What was given.
        found: String,
    },
    /// The field could not be evaluated.
    #[error("the field could not be evaluated: {0}")]
    Field(FieldFailure),
    /// The field is no number somewhere.
    #[error("expected a field of numbers, found {value} at ({x}, {y}, {z}); the model or formula behind it is broken")]
    FieldValue {
        /// What it is there.
        value: f32,
        /// First coordinate.
        x: f64,
        /// Second coordinate.
        y: f64,
        /// Third coordinate.
        z: f64,
    },
    /// Any of the others, with the file that it was found in.
    #[error("{name:?}: {source}")]
    InFile {
        /// Name of the input.
        name: String,
        /// What is wrong with it.
        source: Box<ShapeError>,
    },
}

impl ShapeError {
    /// Names the file, where the error does not yet.
    pub(crate) fn in_file(self, name: &str) -> Self {
        match self {
            Self::Coordinate { .. } | Self::Corner { .. } | Self::TooMany { .. } | Self::NoExtent { .. } => {
                Self::InFile { name: name.to_owned(), source: Box::new(self) }
            }
            other => other,
        }
    }
}
