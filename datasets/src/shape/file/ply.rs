//! PLY: text, and binary of both orders, through `ply-rs-bw`.

use ply_rs_bw::parser::{ParseError, Parser, Reader};
use ply_rs_bw::ply::{ElementDef, Encoding, Property, PropertyAccess, PropertyAccessResult, PropertyType, ScalarType};

use super::bytes::{fan, shortened};
use crate::shape::error::{Result, ShapeError};
use crate::shape::mesh::{MAX_ELEMENTS, Mesh, Point};

/// The longest header that is read.
const MAX_HEADER: usize = 1 << 20;
/// The longest line of a text file, about a polygon of 100,000 corners.
const MAX_LINE: usize = 1 << 20;

/// Reads vertices (`x`, `y`, `z` of any type) and faces (a list `vertex_indices` or `vertex_index`); all else is passed over.
pub(super) fn read(name: &str, bytes: &[u8]) -> Result<Mesh> {
    let file = File { name };
    let head = bytes.get(..MAX_HEADER).unwrap_or(bytes);
    let mut reader = Reader::new(head);
    let header = Parser::<Nothing>::new().read_header(&mut reader).map_err(|error| file.parse(&error))?;
    let left = reader.into_inner().len();
    let mut rest = bytes.get(head.len() - left..).unwrap_or_default();

    let (mut vertices, mut faces) = (Vec::new(), Vec::new());
    for element in header.elements.values() {
        file.check_count(element, header.encoding, rest.len())?;
        match element.name.as_str() {
            "vertex" => {
                file.check_vertex(element)?;
                vertices.reserve_exact(element.count);
                file.each(element, header.encoding, &mut rest, |_, Vertex(place)| {
                    vertices.push(Point::from(place));
                    Ok(())
                })?;
            }
            "face" => {
                file.check_face(element)?;
                faces.reserve(element.count);
                file.each(element, header.encoding, &mut rest, |index, Face(corners)| {
                    file.add_face(&mut faces, index, &corners)
                })?;
            }
            _ => file.each(element, header.encoding, &mut rest, |_, Nothing| Ok(()))?,
        }
    }
    Mesh::new(vertices, faces)
}

struct File<'a> {
    name: &'a str,
}

impl File<'_> {
    fn malformed(&self, problem: impl Into<String>) -> ShapeError {
        ShapeError::Malformed { name: self.name.to_owned(), format: "PLY", problem: problem.into() }
    }

    fn parse(&self, error: &ParseError) -> ShapeError {
        self.malformed(shortened(&error.to_string()))
    }

    /// Refuses a count that the rest of the file cannot hold.
    fn check_count(&self, element: &ElementDef, encoding: Encoding, left: usize) -> Result<()> {
        let ElementDef { name, count, properties } = element;
        let least: usize = match encoding {
            Encoding::Ascii => properties.len().saturating_mul(2),
            _ => properties.values().map(|property| least_bytes(&property.data_type)).sum(),
        };
        if *count > 0 && least == 0 {
            return Err(self.malformed(format!("{count} elements {name:?} without properties")));
        }
        // The last number of a text needs no space behind it.
        if count.checked_mul(least).is_none_or(|needed| needed > left.saturating_add(1)) {
            let problem = format!("a header that promises {count} elements {name:?} and {left} bytes behind it");
            return Err(self.malformed(problem));
        }
        match *count > MAX_ELEMENTS {
            true => Err(ShapeError::TooMany {
                what: "elements of one sort",
                limit: MAX_ELEMENTS as u64,
                found: *count as u64,
            }),
            false => Ok(()),
        }
    }

    fn check_vertex(&self, element: &ElementDef) -> Result<()> {
        for axis in ["x", "y", "z"] {
            match element.properties.get(axis).map(|property| &property.data_type) {
                Some(PropertyType::Scalar(_)) => {}
                _ => return Err(self.malformed(format!("vertices without a number {axis:?}"))),
            }
        }
        Ok(())
    }

    fn check_face(&self, element: &ElementDef) -> Result<()> {
        let lists = element.properties.iter().filter(|(name, _)| is_corner_list(name));
        let types: Vec<&PropertyType> = lists.map(|(_, property)| &property.data_type).collect();
        match types.as_slice() {
            [PropertyType::List(_, ScalarType::Float | ScalarType::Double)] => {
                Err(self.malformed("faces whose vertices are fractions"))
            }
            [PropertyType::List(..)] => Ok(()),
            _ => Err(self.malformed("faces without one list \"vertex_indices\"")),
        }
    }

    fn add_face(&self, faces: &mut Vec<[u32; 3]>, face: usize, corners: &[i64]) -> Result<()> {
        if corners.len() < 3 {
            return Err(self.malformed(format!("a face of {} corners, number {face}", corners.len())));
        }
        let outside = |index: &i64| u32::try_from(*index).is_err();
        if let Some(index) = corners.iter().find(|index| outside(index)) {
            return Err(self.malformed(format!("vertex {index} in face {face}")));
        }
        let index = |corner: i64| u32::try_from(corner).unwrap_or(u32::MAX);
        faces.extend(fan(corners).map(|corners| corners.map(index)));
        Ok(())
    }

    /// Reads all elements of one sort from the front of `rest`.
    fn each<E: PropertyAccess>(
        &self,
        element: &ElementDef,
        encoding: Encoding,
        rest: &mut &[u8],
        mut take: impl FnMut(usize, E) -> Result<()>,
    ) -> Result<()> {
        let parser = Parser::<E>::new();
        for index in 0..element.count {
            let read = match encoding {
                Encoding::BinaryLittleEndian => parser.read_little_endian_element(rest, element),
                Encoding::BinaryBigEndian => parser.read_big_endian_element(rest, element),
                Encoding::Ascii => parser.read_ascii_element(self.line(rest)?, element),
            };
            let read = read.map_err(|error| {
                let problem = shortened(&error.to_string());
                self.malformed(format!("at {:?} {index} of {}: {problem}", element.name, element.count))
            })?;
            take(index, read)?;
        }
        Ok(())
    }

    /// The next line that is not empty.
    fn line<'b>(&self, rest: &mut &'b [u8]) -> Result<&'b str> {
        loop {
            if rest.is_empty() {
                return Err(self.malformed("the end of the file where a line should be"));
            }
            let end = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
            let (line, after) = rest.split_at(end);
            *rest = after.get(1..).unwrap_or_default();
            let line = line.trim_ascii();
            if line.len() > MAX_LINE {
                return Err(self.malformed("a line of more than a megabyte"));
            }
            if !line.is_empty() {
                return std::str::from_utf8(line).map_err(|_| self.malformed("a line that is no text"));
            }
        }
    }
}

/// Bytes that a property takes at least.
fn least_bytes(property: &PropertyType) -> usize {
    let (PropertyType::Scalar(scalar) | PropertyType::List(scalar, _)) = property;
    match scalar {
        ScalarType::Char | ScalarType::UChar => 1,
        ScalarType::Short | ScalarType::UShort => 2,
        ScalarType::Int | ScalarType::UInt | ScalarType::Float => 4,
        ScalarType::Double => 8,
    }
}

fn is_corner_list(name: &str) -> bool {
    matches!(name, "vertex_indices" | "vertex_index")
}

/// An element that nobody asks for.
struct Nothing;

impl PropertyAccess for Nothing {
    fn new() -> Self {
        Self
    }
}

struct Vertex([f64; 3]);

impl PropertyAccess for Vertex {
    fn new() -> Self {
        Self([0.0; 3])
    }

    fn set_property(&mut self, name: &str, property: Property) -> PropertyAccessResult {
        let [x, y, z] = &mut self.0;
        let coordinate = match name {
            "x" => x,
            "y" => y,
            "z" => z,
            _ => return PropertyAccessResult::Ignored,
        };
        *coordinate = match property {
            Property::Char(value) => value.into(),
            Property::UChar(value) => value.into(),
            Property::Short(value) => value.into(),
            Property::UShort(value) => value.into(),
            Property::Int(value) => value.into(),
            Property::UInt(value) => value.into(),
            Property::Float(value) => value.into(),
            Property::Double(value) => value,
            _ => return PropertyAccessResult::UnsupportedType,
        };
        PropertyAccessResult::Set
    }
}

struct Face(Vec<i64>);

impl PropertyAccess for Face {
    fn new() -> Self {
        Self(Vec::new())
    }

    fn set_property(&mut self, name: &str, property: Property) -> PropertyAccessResult {
        if !is_corner_list(name) {
            return PropertyAccessResult::Ignored;
        }
        fn wide<T: Into<i64>>(list: Vec<T>) -> Vec<i64> {
            list.into_iter().map(Into::into).collect()
        }
        self.0 = match property {
            Property::ListChar(list) => wide(list),
            Property::ListUChar(list) => wide(list),
            Property::ListShort(list) => wide(list),
            Property::ListUShort(list) => wide(list),
            Property::ListInt(list) => wide(list),
            Property::ListUInt(list) => wide(list),
            _ => return PropertyAccessResult::UnsupportedType,
        };
        PropertyAccessResult::Set
    }
}
