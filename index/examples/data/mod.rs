//! What the examples share: data from NumPy files, and threads.

#![allow(dead_code, reason = "not every example uses all of it")]

use std::error::Error;
use std::path::Path;

use half::f16;
use vecstore_index::Workers;

type Anything<T> = Result<T, Box<dyn Error>>;

/// Vectors, queries, and the true nearest rows of each query.
pub(crate) struct Data {
    pub(crate) dim: usize,
    pub(crate) base: Vec<f32>,
    queries: Vec<f32>,
    neighbors: Vec<u32>,
    neighbors_each: usize,
}

impl Data {
    pub(crate) fn read(dir: &Path) -> Anything<Self> {
        let half = |bytes: &[u8; 2]| f16::from_le_bytes(*bytes).to_f32();
        let base = Npy::read(&dir.join("base.f16.npy"), "<f2")?;
        let queries = Npy::read(&dir.join("queries.f16.npy"), "<f2")?;
        let neighbors = Npy::read(&dir.join("neighbors.npy"), "<i4")?;
        if base.columns != queries.columns {
            return Err("base and queries differ in dimension".into());
        }
        Ok(Data {
            dim: base.columns,
            base: base.data.as_chunks::<2>().0.iter().map(half).collect(),
            queries: queries.data.as_chunks::<2>().0.iter().map(half).collect(),
            neighbors: neighbors
                .data
                .as_chunks::<4>()
                .0
                .iter()
                .map(|bytes| u32::from_le_bytes(*bytes))
                .collect(),
            neighbors_each: neighbors.columns,
        })
    }

    pub(crate) fn rows(&self) -> usize {
        self.base.len() / self.dim
    }

    pub(crate) fn queries(&self) -> usize {
        self.queries.len() / self.dim
    }

    pub(crate) fn vector(&self, row: u32) -> &[f32] {
        &self.base[row as usize * self.dim..][..self.dim]
    }

    pub(crate) fn each_query(&self) -> impl Iterator<Item = (&[f32], &[u32])> {
        self.queries.chunks_exact(self.dim).zip(self.neighbors.chunks_exact(self.neighbors_each))
    }
}

/// A two-dimensional array from a NumPy file, format version 1.
struct Npy {
    columns: usize,
    data: Vec<u8>,
}

impl Npy {
    fn read(path: &Path, dtype: &str) -> Anything<Self> {
        let bytes = std::fs::read(path)?;
        let bad = || format!("{}: not a two-dimensional {dtype} array", path.display());
        let [b'\x93', b'N', b'U', b'M', b'P', b'Y', 1, _, low, high, rest @ ..] = &bytes[..] else {
            return Err(bad().into());
        };
        let header_len = usize::from(u16::from_le_bytes([*low, *high]));
        let (header, data) = rest.split_at_checked(header_len).ok_or_else(bad)?;
        let header = std::str::from_utf8(header)?;
        if !header.contains(dtype) || header.contains("'fortran_order': True") {
            return Err(bad().into());
        }
        let (_, shape) = header.split_once("'shape': (").ok_or_else(bad)?;
        let (shape, _) = shape.split_once(')').ok_or_else(bad)?;
        let (_, columns) = shape.split_once(',').ok_or_else(bad)?;
        Ok(Npy { columns: columns.trim().parse()?, data: data.to_vec() })
    }
}

/// Threads that take the tasks one by one.
pub(crate) struct Threads(pub(crate) usize);

impl Workers for Threads {
    fn threads(&self) -> usize {
        self.0
    }

    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        let next = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..self.0 {
                scope.spawn(|| {
                    loop {
                        let i = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        if i >= tasks {
                            break;
                        }
                        task(i);
                    }
                });
            }
        });
    }
}
