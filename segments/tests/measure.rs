//! How fast it is. Not a test of anything; run with
//! `cargo test --release -p vecstore-segments --test measure -- --ignored --nocapture`.

#![allow(clippy::print_stdout)]

mod support;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use support::{id_of, options, write_with};
use vecstore_index::roaring::RoaringBitmap;
use vecstore_index::{FlatVectors, Metric, OneThread, Stored, Vectors};
use vecstore_segments::{MergeSource, OsVfs, RecordId, RowSource, Segment, SegmentError};

const DIM: usize = 512;
const ROWS: u32 = 100_000;

/// Rows that are made when they are asked for.
struct Generated;

impl RowSource for Generated {
    fn rows(&self) -> u32 {
        ROWS
    }
    fn namespace(&self, _row: u32) -> Result<&str, SegmentError> {
        Ok("")
    }
    fn id(&self, row: u32) -> Result<RecordId, SegmentError> {
        Ok(RecordId::from(u64::from(row)))
    }
    fn seq(&self, row: u32) -> u64 {
        u64::from(row)
    }
    fn vector(&self, row: u32, vector: &mut [f32]) -> Result<(), SegmentError> {
        let mut x = u64::from(row) * 7919 + 1;
        for component in vector {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *component = (x >> 40) as f32 / (1 << 24) as f32 - 0.5;
        }
        Ok(())
    }
    fn metadata(&self, row: u32, json: &mut Vec<u8>) -> Result<(), SegmentError> {
        json.clear();
        let (group, name) = (row % 10, row % 1000);
        json.extend_from_slice(
            format!(r#"{{"n":{row},"group":"g{group}","name":"a longer name, number {name}"}}"#)
                .as_bytes(),
        );
        Ok(())
    }
}

fn time<T>(what: &str, work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = work();
    let took = start.elapsed();
    println!("{what:<50} {took:>12.1?}");
    (result, took)
}

fn sum_rows<V: Vectors>(rows: &V) -> f32 {
    let first = |row| match rows.vector(row).expect("a good row") {
        Stored::F32(vector) => vector[0],
        Stored::F16(vector) => vector[0].to_f32(),
    };
    (0..rows.rows()).map(first).sum()
}

#[test]
#[ignore = "a measurement"]
fn measure() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let options = options(DIM, Metric::Cosine, u32::MAX);
    let (written, _) = time("write and verify", || {
        write_with(&OsVfs, dir.path(), 1, &Generated, &options, &OneThread).expect("write")
    });
    println!("{} MB", written.bytes / 1_000_000);
    let path = dir.path().join(Segment::file_name(1));
    time("open (1000 times)", || {
        for _ in 0..1000 {
            black_box(Segment::open(&OsVfs, &path).expect("open"));
        }
    });
    let segment = Segment::open(&OsVfs, &path).expect("open");
    let view = segment.vectors(0..ROWS);
    time("read a component of every row, first touch", || black_box(sum_rows(&view)));
    let flat: Vec<f32> =
        (0..ROWS).flat_map(|row| view.vector(row).expect("row").to_vec()).collect();
    let flat = FlatVectors::new(&flat, DIM);
    let (_, checked) = time("again, 20 times", || {
        (0..20).for_each(|_| _ = black_box(sum_rows(black_box(&view))));
    });
    let (_, plain) = time("a plain array, 20 times", || {
        (0..20).for_each(|_| _ = black_box(sum_rows(black_box(&flat))));
    });
    let per_row = |d: Duration| d.as_secs_f64() * 1e9 / f64::from(20 * ROWS);
    println!("{:.2} ns a row checked, {:.2} ns plain", per_row(checked), per_row(plain));
    let find = |id: RecordId| segment.find("", &id).expect("find");
    let _ = find(RecordId::from(5));
    time("find, 100000 ids that are there", || {
        (0..u64::from(ROWS)).for_each(|n| assert!(find(RecordId::from(n * 7 % 100_000)).is_some()));
    });
    time("find, 100000 ids that are not", || {
        (0..u64::from(ROWS)).for_each(|n| assert!(find(id_of(n * 4 + 1)).is_none()));
    });
    time("metadata of all rows", || {
        segment.visit_metadata(&mut (0..ROWS), &mut |_, m| _ = black_box(m)).expect("metadata");
    });
    time("verify", || assert!(segment.verify(&OsVfs).expect("verify").problems.is_empty()));
    let segment = Arc::new(segment);
    let deleted: RoaringBitmap = (0..ROWS).step_by(10).collect();
    let inputs = vec![(segment, Arc::new(deleted))];
    let (source, _) = time("begin a merge", || MergeSource::new(inputs).expect("merge"));
    let mut vector = vec![0.0; DIM];
    time("read its vectors in order", || {
        (0..source.rows()).for_each(|row| source.vector(row, &mut vector).expect("vector"));
    });
    let mut json = Vec::new();
    time("read its metadata in order", || {
        (0..source.rows()).for_each(|row| source.metadata(row, &mut json).expect("metadata"));
    });
}

#[test]
#[ignore = "a measurement"]
fn many_namespaces() {
    let names: Vec<String> = (0..100_000).map(|i| format!("tenant-{i:06}")).collect();
    let namespaces: Vec<(&str, u64)> = names.iter().map(|n| (n.as_str(), 3)).collect();
    let model = support::rows_of(&namespaces, 16, 8);
    let dir = tempfile::tempdir().expect("a temporary folder");
    let options = options(16, Metric::Cosine, 1000);
    time("write 100000 namespaces of 3 rows", || {
        write_with(&OsVfs, dir.path(), 1, &model, &options, &OneThread).expect("write")
    });
    let path = dir.path().join(Segment::file_name(1));
    let (segment, _) = time("open them", || Segment::open(&OsVfs, &path).expect("open"));
    time("find a row in each", || {
        for name in &names {
            assert!(segment.find(name, &id_of(1)).expect("find").is_some());
        }
    });
}
