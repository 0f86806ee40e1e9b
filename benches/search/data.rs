//! Data sets as folders of NumPy arrays.

use std::path::Path;

use half::f16;
use vecstore::Metric;

/// Vectors, queries and the true nearest of each query.
pub(crate) struct Data {
    pub(crate) name: String,
    pub(crate) metric: Metric,
    pub(crate) dim: usize,
    base: Vec<f32>,
    queries: Vec<f32>,
    /// Distance of the k-th nearest row to each query.
    least: Vec<f32>,
}

impl Data {
    /// Reads a folder in one of two layouts:
    /// - `base.f16.npy`, `queries.f16.npy`, `neighbors.npy`, compared by cosine;
    /// - `base.npy`, `queries.npy`, `gt_ids.npy` and `meta.json`, whose `metric` is `angular` or
    ///   `euclidean`.
    pub(crate) fn read(folder: &Path, k: usize, queries_max: usize) -> Result<Self, String> {
        let half = folder.join("base.f16.npy").exists();
        let [base, queries, truth] = if half {
            ["base.f16.npy", "queries.f16.npy", "neighbors.npy"]
        } else {
            ["base.npy", "queries.npy", "gt_ids.npy"]
        };
        let metric = if half { Metric::Cosine } else { read_metric(&folder.join("meta.json"))? };
        let (base, dim) = read_floats(&folder.join(base))?;
        let (mut queries, queries_dim) = read_floats(&folder.join(queries))?;
        let (truth, truth_each) = read_integers(&folder.join(truth))?;
        if queries_dim != dim || truth_each < k || truth.len() / truth_each != queries.len() / dim {
            return Err(format!("{}: the arrays do not fit together", folder.display()));
        }
        queries.truncate(queries_max.saturating_mul(dim));
        let mut data = Data {
            name: folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            metric,
            dim,
            base,
            queries,
            least: Vec::new(),
        };
        let kth = truth.chunks_exact(truth_each).map(|rows| rows[k - 1]);
        data.least = data
            .queries()
            .zip(kth)
            .map(|(query, row)| {
                let row = data.row(u64::from(row)).ok_or("a true neighbour is not in the base")?;
                Ok(distance(metric, query, row))
            })
            .collect::<Result<_, &str>>()?;
        Ok(data)
    }

    pub(crate) fn rows(&self) -> usize {
        self.base.len() / self.dim
    }

    pub(crate) fn row(&self, row: u64) -> Option<&[f32]> {
        let start = usize::try_from(row).ok()?.checked_mul(self.dim)?;
        self.base.get(start..start + self.dim)
    }

    pub(crate) fn queries(&self) -> impl Iterator<Item = &[f32]> {
        self.queries.chunks_exact(self.dim)
    }

    /// The part of the k nearest that an answer has: rows at least as near as the last of the true
    /// ones, as several sets of rows can be right where vectors are equal.
    pub(crate) fn recall(&self, query: usize, rows: &[u64], k: usize) -> f64 {
        let vector = &self.queries[query * self.dim..][..self.dim];
        let bound = self.least[query] * (1.0 + 1e-5) + 1e-6;
        let near = |row: &&u64| {
            self.row(**row).is_some_and(|row| distance(self.metric, vector, row) <= bound)
        };
        rows.iter().filter(near).count() as f64 / k as f64
    }
}

/// By definition, in `f64`.
fn distance(metric: Metric, a: &[f32], b: &[f32]) -> f32 {
    let sum = |f: fn(f64, f64) -> f64| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f(f64::from(a), f64::from(b))).sum()
    };
    let distance = match metric {
        Metric::Cosine => 1.0 - sum(|a, b| a * b) / (sum(|a, _| a * a) * sum(|_, b| b * b)).sqrt(),
        Metric::Dot => -sum(|a, b| a * b),
        Metric::Euclidean => sum(|a, b| (a - b) * (a - b)).sqrt(),
    };
    distance as f32
}

fn read_metric(path: &Path) -> Result<Metric, String> {
    let meta: serde_json::Value = serde_json::from_slice(&read(path)?)
        .map_err(|error| format!("{}: {error}", path.display()))?;
    match meta["metric"].as_str() {
        Some("angular") => Ok(Metric::Cosine),
        Some(name) => name.parse().map_err(|error| format!("{}: {error}", path.display())),
        None => Err(format!("{}: no `metric`", path.display())),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn read_floats(path: &Path) -> Result<(Vec<f32>, usize), String> {
    let bytes = read(path)?;
    let array = Array::parse(&bytes).map_err(|problem| format!("{}: {problem}", path.display()))?;
    let values = match array.element {
        "<f2" => array.elements().map(|bytes| f16::from_le_bytes(bytes).to_f32()).collect(),
        "<f4" => array.elements().map(f32::from_le_bytes).collect(),
        other => return Err(format!("{}: elements `{other}`, expected floats", path.display())),
    };
    Ok((values, array.columns))
}

fn read_integers(path: &Path) -> Result<(Vec<u32>, usize), String> {
    let bytes = read(path)?;
    let array = Array::parse(&bytes).map_err(|problem| format!("{}: {problem}", path.display()))?;
    match array.element {
        "<i4" | "<u4" => Ok((array.elements().map(u32::from_le_bytes).collect(), array.columns)),
        other => Err(format!("{}: elements `{other}`, expected integers", path.display())),
    }
}

/// A two-dimensional NumPy file, format version 1.
struct Array<'a> {
    element: &'a str,
    columns: usize,
    data: &'a [u8],
}

impl<'a> Array<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, &'static str> {
        let [b'\x93', b'N', b'U', b'M', b'P', b'Y', 1, _, low, high, rest @ ..] = bytes else {
            return Err("not a NumPy file of version 1");
        };
        let header_bytes = usize::from(u16::from_le_bytes([*low, *high]));
        let (header, data) = rest.split_at_checked(header_bytes).ok_or("the header is cut")?;
        let header = std::str::from_utf8(header).map_err(|_| "the header is not text")?;
        let value = |key: &str, end: char| {
            let (_, rest) = header.split_once(key)?;
            rest.split_once(end).map(|(value, _)| value)
        };
        let element = value("'descr': '", '\'').ok_or("no element type")?;
        let shape = value("'shape': (", ')').ok_or("no shape")?;
        if header.contains("'fortran_order': True") {
            return Err("columns first");
        }
        match shape.split(',').map(|number| number.trim().parse::<usize>()).collect::<Vec<_>>()[..]
        {
            [Ok(_), Ok(columns)] if columns > 0 => Ok(Array { element, columns, data }),
            _ => Err("not two-dimensional"),
        }
    }

    fn elements<const N: usize>(&self) -> impl Iterator<Item = [u8; N]> + 'a {
        self.data.as_chunks::<N>().0.iter().copied()
    }
}
