//! `--vector`: a query vector written out, or in a file.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};
use crate::input::NpyReader;

/// The longest vector has 16,384 components; 64 bytes are plenty for each.
const JSON_BYTES_MAX: u64 = 1 << 20;

/// Where a query vector comes from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum VectorArg {
    /// Written out as a JSON array.
    Literal(Vec<f32>),
    /// A file that is a JSON array.
    Json(PathBuf),
    /// A `.npy` file, and the row of it (from 0) if it has several.
    Npy(PathBuf, Option<u64>),
}

/// Reads `[0.1,…]`, `@FILE.json`, `@FILE.npy` or `@FILE.npy:ROW`.
pub(crate) fn parse(text: &str) -> std::result::Result<VectorArg, String> {
    let Some(file) = text.strip_prefix('@') else {
        return serde_json::from_str(text).map(VectorArg::Literal).map_err(|e| {
            format!("expected a JSON array of numbers, @FILE.json or @FILE.npy[:ROW]; as JSON: {e}")
        });
    };
    if is_npy(file) {
        return Ok(VectorArg::Npy(file.into(), None));
    }
    if let Some((path, row)) = file.rsplit_once(':')
        && is_npy(path)
    {
        let row = row.parse().map_err(|_| format!("`{row}` is not a row number (from 0)"))?;
        return Ok(VectorArg::Npy(path.into(), Some(row)));
    }
    if Path::new(file).extension().is_some_and(|e| e.eq_ignore_ascii_case("json")) {
        return Ok(VectorArg::Json(file.into()));
    }
    Err("the file's name must end in .json or .npy (then :ROW may follow)".to_owned())
}

fn is_npy(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|e| e.eq_ignore_ascii_case("npy"))
}

impl VectorArg {
    /// The vector.
    pub(crate) fn load(&self) -> Result<Vec<f32>> {
        match self {
            VectorArg::Literal(vector) => Ok(vector.clone()),
            VectorArg::Json(path) => load_json(path),
            VectorArg::Npy(path, row) => load_npy(path, *row),
        }
    }
}

fn load_json(path: &Path) -> Result<Vec<f32>> {
    let failed = |e| Failure::io(path.display(), &e);
    let mut text = Vec::new();
    File::open(path)
        .map_err(failed)?
        .take(JSON_BYTES_MAX + 1)
        .read_to_end(&mut text)
        .map_err(failed)?;
    if text.len() as u64 > JSON_BYTES_MAX {
        return Err(Failure::invalid(format!(
            "{}: longer than {JSON_BYTES_MAX} bytes, expected one JSON array of numbers",
            path.display()
        )));
    }
    serde_json::from_slice(&text).map_err(|e| {
        Failure::invalid(format!("{}: expected one JSON array of numbers: {e}", path.display()))
    })
}

fn load_npy(path: &Path, row: Option<u64>) -> Result<Vec<f32>> {
    let mut reader = NpyReader::open(path)?;
    let rows = reader.rows();
    let row = match row {
        Some(row) => row,
        None if rows == 1 => 0,
        None => {
            let path = path.display();
            return Err(Failure::usage(format!(
                "{path} has {rows} rows, say which: --vector @{path}:ROW (from 0)"
            )));
        }
    };
    if row >= rows {
        return Err(Failure::invalid(format!(
            "{}: there is no row {row}, the file has {rows} rows (counted from 0)",
            path.display()
        )));
    }
    reader.skip(row)?;
    let mut vector = vec![0.0; reader.dim()];
    reader.read_row(&mut vector)?;
    Ok(vector)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_a_vector_are_read() {
        for (text, expected) in [
            ("[0.5, -1,2e3]", VectorArg::Literal(vec![0.5, -1.0, 2000.0])),
            ("@q.json", VectorArg::Json("q.json".into())),
            ("@d/q.npy", VectorArg::Npy("d/q.npy".into(), None)),
            ("@q.NPY:7", VectorArg::Npy("q.NPY".into(), Some(7))),
            ("@C:\\d\\q.npy", VectorArg::Npy("C:\\d\\q.npy".into(), None)),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
        for text in
            ["", "0.5,1", "[0.5,", "[\"a\"]", "@", "@q.txt", "@q.npy:", "@q.npy:-1", "@q.npy:1:2"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
