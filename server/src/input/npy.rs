//! Rows of a NumPy `.npy` file, read one after the other.
//!
//! Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>. Read are
//! one- and two-dimensional arrays of little-endian `float16`, `float32` and `float64` in C
//! order; everything else is refused by name.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use half::f16;
use half::slice::HalfFloatSliceExt;
use vecstore::CollectionOptions;

use crate::failure::{Failure, Result};

/// Longest header that is read. NumPy itself refuses headers beyond 10,000 bytes.
const HEADER_BYTES_MAX: usize = 64 << 10;
const READ_BYTES: usize = 1 << 20;

/// The type of the numbers in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    F16,
    F32,
    F64,
}

impl Element {
    fn bytes(self) -> usize {
        match self {
            Element::F16 => 2,
            Element::F32 => 4,
            Element::F64 => 8,
        }
    }
}

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    element: Element,
    rows: u64,
    dim: usize,
}

impl Shape {
    /// Bytes of the numbers; `None` if no file can be that long.
    fn data_bytes(self) -> Option<u64> {
        self.rows.checked_mul(self.dim as u64)?.checked_mul(self.element.bytes() as u64)
    }
}

/// Reads the rows of a `.npy` file in order, holding one row.
pub(crate) struct NpyReader<'a> {
    name: String,
    input: Box<dyn Read + 'a>,
    shape: Shape,
    row: u64,
    scratch: Vec<u8>,
    halves: Vec<f16>,
}

impl<'a> NpyReader<'a> {
    /// Opens a file and checks that it is as long as its header says.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let failed = |e| Failure::io(path.display(), &e);
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let input = BufReader::with_capacity(READ_BYTES, file);
        NpyReader::new(path.display().to_string(), length, input)
    }

    /// Reads the bytes of a file.
    pub(crate) fn from_bytes(name: &str, bytes: &'a [u8]) -> Result<Self> {
        NpyReader::new(name.to_owned(), bytes.len() as u64, bytes)
    }

    fn new(name: String, length: u64, mut input: impl Read + 'a) -> Result<Self> {
        let (shape, header_bytes) = read_header(&mut input).map_err(|e| e.at(&name))?;
        let promise = format!("the header promises {} rows of {} numbers", shape.rows, shape.dim);
        let Some(expected) = shape.data_bytes().and_then(|n| n.checked_add(header_bytes)) else {
            return Err(Failure::invalid(format!(
                "{name}: {promise}, more than any file can hold"
            )));
        };
        if expected != length {
            let problem = if length < expected { "it is cut short" } else { "more than it should" };
            return Err(Failure::invalid(format!(
                "{name}: {promise} ({expected} bytes), the file has {length} bytes: {problem}"
            )));
        }
        Ok(NpyReader {
            name,
            input: Box::new(input),
            shape,
            row: 0,
            scratch: vec![0; shape.dim * shape.element.bytes()],
            halves: Vec::new(),
        })
    }

    /// The file's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Rows of the file; a one-dimensional array is one row.
    pub(crate) fn rows(&self) -> u64 {
        self.shape.rows
    }

    /// Numbers of a row.
    pub(crate) fn dim(&self) -> usize {
        self.shape.dim
    }

    /// Rows that are left.
    pub(crate) fn rows_left(&self) -> u64 {
        self.shape.rows - self.row
    }

    /// Passes over `rows` rows, at most all that are left.
    pub(crate) fn skip(&mut self, rows: u64) -> Result {
        let rows = rows.min(self.rows_left());
        // Within the file's length, which was checked.
        let bytes = rows * self.scratch.len() as u64;
        let skipped = std::io::copy(&mut (&mut self.input).take(bytes), &mut std::io::sink());
        let skipped = skipped.map_err(|e| Failure::io(&self.name, &e))?;
        if skipped != bytes {
            return Err(Failure::invalid(format!("{}: the file became shorter", self.name)));
        }
        self.row += rows;
        Ok(())
    }

    /// Reads the next row into `vector`, which has [`dim`](Self::dim) components. `false` if there
    /// is none.
    pub(crate) fn read_row(&mut self, vector: &mut [f32]) -> Result<bool> {
        assert_eq!(vector.len(), self.shape.dim, "a row is read whole");
        if self.rows_left() == 0 {
            return Ok(false);
        }
        self.input
            .read_exact(&mut self.scratch)
            .map_err(|e| Failure::io(format_args!("{} row {}", self.name, self.row), &e))?;
        self.row += 1;
        match self.shape.element {
            Element::F16 => {
                let halves = self.scratch.as_chunks().0.iter().map(|&b| f16::from_le_bytes(b));
                self.halves.clear();
                self.halves.extend(halves);
                self.halves.convert_to_f32_slice(vector);
            }
            Element::F32 => {
                for (x, &b) in vector.iter_mut().zip(self.scratch.as_chunks().0) {
                    *x = f32::from_le_bytes(b);
                }
            }
            Element::F64 => {
                for (x, &b) in vector.iter_mut().zip(self.scratch.as_chunks().0) {
                    *x = f64::from_le_bytes(b) as f32;
                }
            }
        }
        Ok(true)
    }
}

/// Reads the header; also gives its length in bytes.
fn read_header(input: &mut impl Read) -> Result<(Shape, u64)> {
    let short = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            Failure::invalid("not a .npy file (it ends within the header)")
        }
        _ => Failure::io("its header", &e),
    };
    let mut start = [0; 8];
    input.read_exact(&mut start).map_err(short)?;
    if start[..6] != *b"\x93NUMPY" {
        return Err(Failure::invalid("not a .npy file (it does not begin with \\x93NUMPY)"));
    }
    let (prefix, length) = match start[6] {
        1 => {
            let mut length = [0; 2];
            input.read_exact(&mut length).map_err(short)?;
            (10, usize::from(u16::from_le_bytes(length)))
        }
        2 | 3 => {
            let mut length = [0; 4];
            input.read_exact(&mut length).map_err(short)?;
            (12, u32::from_le_bytes(length) as usize)
        }
        version => {
            return Err(Failure::invalid(format!(".npy version {version} is not known")));
        }
    };
    if length > HEADER_BYTES_MAX {
        return Err(Failure::invalid(format!(
            "the header has {length} bytes, at most {HEADER_BYTES_MAX} are read"
        )));
    }
    let mut header = vec![0; length];
    input.read_exact(&mut header).map_err(short)?;
    let header =
        std::str::from_utf8(&header).map_err(|_| Failure::invalid("the header is not text"))?;
    let shape = parse_header(header).map_err(Failure::invalid)?;
    Ok((shape, prefix + length as u64))
}

/// Reads the header's text, a Python dictionary:
/// `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
fn parse_header(text: &str) -> std::result::Result<Shape, String> {
    let mut scan = Scan { rest: text };
    let (mut element, mut fortran_order, mut shape) = (None, None, None);
    scan.expect('{')?;
    while !scan.eat('}') {
        let key = scan.string()?;
        scan.expect(':')?;
        match key {
            "descr" => element = Some(scan.element()?),
            "fortran_order" => fortran_order = Some(scan.boolean()?),
            "shape" => shape = Some(scan.tuple()?),
            other => return Err(format!("unknown key `{other}` in the header")),
        }
        if !scan.eat(',') {
            scan.expect('}')?;
            break;
        }
    }
    let missing = |key: &str| format!("the header has no `{key}`");
    let element = element.ok_or_else(|| missing("descr"))?;
    let shape = shape.ok_or_else(|| missing("shape"))?;
    if fortran_order.ok_or_else(|| missing("fortran_order"))? && shape.len() > 1 {
        return Err("the array is in Fortran (column) order; save \
                    numpy.ascontiguousarray(array) instead"
            .to_owned());
    }
    let (rows, dim) = match shape[..] {
        [dim] => (1, dim),
        [rows, dim] => (rows, dim),
        _ => {
            return Err(format!(
                "the array has {} dimensions, expected 2 (rows, components)",
                shape.len()
            ));
        }
    };
    let dim = usize::try_from(dim)
        .ok()
        .filter(|dim| (1..=CollectionOptions::DIM_MAX).contains(dim))
        .ok_or_else(|| {
            format!("rows of {dim} numbers, expected 1 to {}", CollectionOptions::DIM_MAX)
        })?;
    Ok(Shape { element, rows, dim })
}

/// What is left of a header's text.
struct Scan<'a> {
    rest: &'a str,
}

impl<'a> Scan<'a> {
    fn eat(&mut self, c: char) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, c: char) -> std::result::Result<(), String> {
        if self.eat(c) { Ok(()) } else { Err(format!("the header is damaged: expected `{c}`")) }
    }

    fn string(&mut self) -> std::result::Result<&'a str, String> {
        let quote = if self.eat('"') { '"' } else { '\'' };
        if quote == '\'' {
            self.expect('\'')?;
        }
        let (text, rest) =
            self.rest.split_once(quote).ok_or("the header is damaged: a text has no end")?;
        self.rest = rest;
        Ok(text)
    }

    fn element(&mut self) -> std::result::Result<Element, String> {
        if self.rest.trim_start().starts_with('[') {
            return Err("a structured array; expected float16, float32 or float64".to_owned());
        }
        match self.string()? {
            "<f2" => Ok(Element::F16),
            "<f4" => Ok(Element::F32),
            "<f8" => Ok(Element::F64),
            big @ (">f2" | ">f4" | ">f8") => Err(format!(
                "numbers of type `{big}` are big-endian; save array.astype('<{}') instead",
                &big[1..]
            )),
            other => Err(format!(
                "numbers of type `{other}`; expected float16, float32 or float64 (`<f2`, `<f4`, `<f8`)"
            )),
        }
    }

    fn boolean(&mut self) -> std::result::Result<bool, String> {
        self.rest = self.rest.trim_start();
        for (word, value) in [("True", true), ("False", false)] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest;
                return Ok(value);
            }
        }
        Err("the header is damaged: expected True or False".to_owned())
    }

    fn tuple(&mut self) -> std::result::Result<Vec<u64>, String> {
        let mut numbers = Vec::new();
        self.expect('(')?;
        while !self.eat(')') {
            self.rest = self.rest.trim_start();
            let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, rest) = self.rest.split_at(digits);
            numbers.push(number.parse().map_err(|_| "the header is damaged: expected a length")?);
            // Python 2 wrote `3L`.
            self.rest = rest.strip_prefix('L').unwrap_or(rest);
            if !self.eat(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn header(descr: &str, fortran: &str, shape: &str) -> String {
        format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}  \n")
    }

    fn rows(bytes: &[u8]) -> Result<Vec<Vec<f32>>> {
        let mut reader = NpyReader::from_bytes("x.npy", bytes)?;
        let mut rows = Vec::new();
        let mut row = vec![0.0; reader.dim()];
        while reader.read_row(&mut row)? {
            rows.push(row.clone());
        }
        Ok(rows)
    }

    #[test]
    fn every_element_type_is_read() {
        let numbers = [1.0, -0.5, 2.0, 0.25];
        let expected = vec![vec![1.0, -0.5], vec![2.0, 0.25]];
        let f2: Vec<u8> = numbers.iter().flat_map(|&x| f16::from_f64(x).to_le_bytes()).collect();
        let f4: Vec<u8> = numbers.iter().flat_map(|&x| (x as f32).to_le_bytes()).collect();
        let f8: Vec<u8> = numbers.iter().flat_map(|&x| x.to_le_bytes()).collect();
        for (descr, data) in [("<f2", f2), ("<f4", f4), ("<f8", f8)] {
            assert_eq!(rows(&file(&header(descr, "False", "(2, 2)"), &data)).unwrap(), expected);
        }
    }

    #[test]
    fn one_dimension_is_one_row_and_fortran_order_does_not_matter_there() {
        let data: Vec<u8> = [1f32, 2.0, 3.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        let bytes = file(&header("<f4", "True", "(3,)"), &data);
        assert_eq!(rows(&bytes).unwrap(), [[1.0, 2.0, 3.0]]);
    }

    #[test]
    fn rows_are_skipped() {
        let data: Vec<u8> = (0..4u8).flat_map(|x| f32::from(x).to_le_bytes()).collect();
        let bytes = file(&header("<f4", "False", "(4, 1)"), &data);
        let mut reader = NpyReader::from_bytes("x.npy", &bytes).unwrap();
        let mut row = [0.0];
        reader.skip(2).unwrap();
        assert!(reader.read_row(&mut row).unwrap());
        assert_eq!(row, [2.0]);
        reader.skip(100).unwrap();
        assert!(!reader.read_row(&mut row).unwrap());
    }

    #[test]
    fn what_is_not_read_is_refused_by_name() {
        for (bytes, message) in [
            (
                b"PK\x03\x04aaaaaaaaaaaa".to_vec(),
                "x.npy: not a .npy file (it does not begin with \\x93NUMPY)",
            ),
            (b"\x93NUM".to_vec(), "x.npy: not a .npy file (it ends within the header)"),
            (
                file(&header("<f4", "False", "(2, 2)"), &[0; 15]),
                "x.npy: the header promises 2 rows of 2 numbers (88 bytes), the file has 87 bytes: it is cut short",
            ),
            (
                file(&header("<f4", "False", "(2, 2)"), &[0; 17]),
                "x.npy: the header promises 2 rows of 2 numbers (88 bytes), the file has 89 bytes: more than it should",
            ),
            (
                file(&header("<f4", "True", "(2, 2)"), &[0; 16]),
                "x.npy: the array is in Fortran (column) order; save numpy.ascontiguousarray(array) instead",
            ),
            (
                file(&header(">f4", "False", "(2, 2)"), &[0; 16]),
                "x.npy: numbers of type `>f4` are big-endian; save array.astype('<f4') instead",
            ),
            (
                file(&header("<i8", "False", "(2, 2)"), &[0; 32]),
                "x.npy: numbers of type `<i8`; expected float16, float32 or float64 (`<f2`, `<f4`, `<f8`)",
            ),
            (
                file(&header("<f4", "False", "(2, 2, 2)"), &[0; 32]),
                "x.npy: the array has 3 dimensions, expected 2 (rows, components)",
            ),
            (
                file(&header("<f4", "False", "(2, 0)"), &[]),
                "x.npy: rows of 0 numbers, expected 1 to 16384",
            ),
            (
                file(&header("<f8", "False", "(18446744073709551615, 16384)"), &[]),
                "x.npy: the header promises 18446744073709551615 rows of 16384 numbers, more than any file can hold",
            ),
            (file("{'descr': '<f4'}", &[]), "x.npy: the header has no `shape`"),
            (file("{'descr' '<f4'}", &[]), "x.npy: the header is damaged: expected `:`"),
        ] {
            assert_eq!(rows(&bytes).unwrap_err().to_string(), message);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(header in "\\PC{0,80}", data in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = rows(&file(&header, &data));
            let _ = rows(&data);
        }

        #[test]
        fn no_damaged_header_panics(at in 0usize..60, byte in any::<u8>()) {
            let mut bytes = file(&header("<f4", "False", "(2, 2)"), &[0; 16]);
            bytes[at + 8] = byte;
            let _ = rows(&bytes);
        }
    }
}
