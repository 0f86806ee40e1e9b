//! The data set that the measuring programs read, and a plain cosine.

use std::io::{BufRead, BufReader};
use std::path::Path;

use serde_json::{Map, Value};

/// Cosine similarity, plainly.
#[allow(dead_code, reason = "not every program has something to compare")]
pub(crate) fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let (mut dot, mut norm_a, mut norm_b) = ([0.0_f32; 16], [0.0_f32; 16], [0.0_f32; 16]);
    for (a, b) in a.chunks(16).zip(b.chunks(16)) {
        for (lane, (x, y)) in a.iter().zip(b).enumerate() {
            dot[lane] += x * y;
            norm_a[lane] += x * x;
            norm_b[lane] += y * y;
        }
    }
    let sum = |lanes: [f32; 16]| lanes.iter().sum::<f32>();
    sum(dot) / (sum(norm_a) * sum(norm_b)).sqrt()
}

/// Header length and number of columns of a two-dimensional `.npy` file.
fn npy_shape(bytes: &[u8]) -> Option<(usize, usize)> {
    let head = 10 + usize::from(u16::from_le_bytes([*bytes.get(8)?, *bytes.get(9)?]));
    let header = std::str::from_utf8(bytes.get(10..head)?).ok()?;
    let (_, shape) = header.split_once("'shape': (")?;
    Some((head, shape.split([',', ')']).nth(1)?.trim().parse().ok()?))
}

/// Rows of a two-dimensional `.npy` file of 16-bit floats.
pub(crate) fn read_vectors(path: &Path) -> Result<Vec<Vec<f32>>, String> {
    let bytes = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let (head, dim) =
        npy_shape(&bytes).ok_or_else(|| format!("{}: not an array", path.display()))?;
    let values: Vec<f32> = bytes[head..]
        .chunks_exact(2)
        .map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32())
        .collect();
    Ok(values.chunks_exact(dim).map(<[f32]>::to_vec).collect())
}

/// Rows of a two-dimensional `.npy` file of 32-bit integers.
#[allow(dead_code, reason = "not every program has a truth to read")]
pub(crate) fn read_neighbors(path: &Path) -> Result<Vec<Vec<u64>>, String> {
    let bytes = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let (head, columns) =
        npy_shape(&bytes).ok_or_else(|| format!("{}: not an array", path.display()))?;
    let rows: Vec<u64> = bytes[head..]
        .chunks_exact(4)
        .map(|b| u64::from(u32::from_le_bytes([b[0], b[1], b[2], b[3]])))
        .collect();
    Ok(rows.chunks_exact(columns).map(<[u64]>::to_vec).collect())
}

/// JSON objects, one a line, compressed.
pub(crate) fn read_records(path: &Path) -> Result<Vec<Map<String, Value>>, String> {
    let file = std::fs::File::open(path).map_err(|e| format!("{}: {e}", path.display()))?;
    BufReader::new(flate2::read::GzDecoder::new(file))
        .lines()
        .map(|line| {
            serde_json::from_str(&line.map_err(|e| e.to_string())?).map_err(|e| e.to_string())
        })
        .collect()
}
