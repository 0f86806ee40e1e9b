//! Scans of sketches beside their slow twin, the scan of all codes.

mod common;

use std::path::Path;

use common::{Coded, Random, Threads, clustered};
use proptest::prelude::*;
use vecstore_index::{
    CodeQuery, Damaged, FlatRows, Found, Metric, OneThread, Rows, Sketches, SketchesBuf,
    build_sketches,
};

const KEEP: usize = 20;

/// Codes with their sketches.
struct Sketched {
    coded: Coded,
    built: SketchesBuf,
}

impl Sketched {
    fn new(metric: Metric, dim: usize, vectors: &[f32]) -> Self {
        let coded = Coded::new(metric, dim, vectors);
        let built = build_sketches(&coded.quantizer, &coded.bytes, &OneThread).expect("sketches");
        Sketched { coded, built }
    }

    fn rows(&self) -> FlatRows<'_, u8> {
        FlatRows::new("sketch-rows", &self.built.data, self.built.sketches.sketch_len())
    }

    fn scan(
        &self,
        query: &CodeQuery,
        rows: impl Iterator<Item = u32>,
        keep: usize,
    ) -> Result<Found, Damaged> {
        self.built.sketches.scan(query, &self.rows(), &self.coded.rows(), rows, keep)
    }
}

/// Vectors whose first components are much larger than the others, and far from the origin.
fn lopsided(seed: u64, rows: usize, dim: usize) -> Vec<f32> {
    let mut vectors = clustered(seed, rows, dim, 40);
    for vector in vectors.chunks_exact_mut(dim) {
        vector[..4].iter_mut().for_each(|value| *value = 12.0 * *value + 30.0);
    }
    vectors
}

/// Finds what a scan of all codes does, but for a row in a thousand.
fn check_scans(metric: Metric, dim: usize, vectors: &[f32]) {
    let sketched = Sketched::new(metric, dim, vectors);
    let rows = (vectors.len() / dim) as u32;
    let (mut same, mut all, mut looks) = (0, 0, 0);
    for number in 0..40u32 {
        // Near stored rows, and not of them.
        let place = number as usize * 97 % rows as usize * dim;
        let mut random = Random(u64::from(number));
        let query: Vec<f32> =
            vectors[place..place + dim].iter().map(|x| x + 0.7 * random.float()).collect();
        let query = sketched.coded.quantizer.query(&query);
        for step in [1, 3, 50] {
            let some = || (number % step..rows).step_by(step as usize);
            let plain = query.scan(&sketched.coded.rows(), some(), KEEP).expect("codes");
            let found = sketched.scan(&query, some(), KEEP).expect("sketches");
            assert_eq!(found.candidates.len(), plain.len());
            assert!(found.candidates.is_sorted_by(|a, b| a.distance <= b.distance));
            let here = plain.iter().filter(|row| found.candidates.contains(row)).count();
            assert!(here + 2 >= plain.len(), "{metric} {dim}: {here} of {}", plain.len());
            same += here;
            all += plain.len();
            if step == 1 {
                looks += found.distances;
            }
        }
    }
    assert!(same as f64 >= 0.999 * all as f64, "{metric}, {dim} components: {same} of {all}");
    // Sketches are there to look at few codes.
    let share = looks as f64 / (40.0 * f64::from(rows));
    assert!(share < 0.25, "{metric}, {dim} components: {share} of the codes");
}

#[test]
fn scans_find_what_scans_of_codes_do() {
    for metric in Metric::ALL {
        check_scans(metric, 96, &clustered(1, 6_000, 96, 40));
        check_scans(metric, 200, &clustered(2, 6_000, 200, 40));
    }
}

#[test]
fn a_few_large_components_do_no_harm() {
    for metric in Metric::ALL {
        check_scans(metric, 128, &lopsided(3, 6_000, 128));
        check_scans(metric, 384, &lopsided(4, 3_000, 384));
    }
}

/// A bound is what its name says for all rows but one in some hundred.
#[test]
fn bounds_hold() {
    for metric in Metric::ALL {
        for (vectors, dim) in [(clustered(5, 4_000, 100, 10), 100), (lopsided(6, 4_000, 128), 128)]
        {
            let sketched = Sketched::new(metric, dim, &vectors);
            let (mut wrong, mut all) = (0, 0);
            for place in (0..4_000).step_by(211) {
                let vector = &vectors[place * dim..][..dim];
                let query = sketched.coded.quantizer.query(vector);
                let prepared = sketched.built.sketches.query(&query);
                let mut bounds = Vec::new();
                sketched
                    .built
                    .sketches
                    .bounds(&prepared, &sketched.rows(), 0..4_000, &mut bounds)
                    .expect("bounds");
                assert_eq!(bounds.len(), 4_000);
                let code = coded(&sketched, vector, metric);
                for (row, bound) in bounds.into_iter().enumerate() {
                    let other = sketched.coded.rows();
                    let other = other.row(row as u32).expect("a code");
                    wrong += usize::from(f64::from(bound) > value(metric, &code, other));
                    all += 1;
                }
            }
            assert!(wrong * 100 <= all, "{metric}, {dim} components: {wrong} of {all}");
        }
    }
}

/// The code that a vector has as a query.
fn coded(sketched: &Sketched, vector: &[f32], metric: Metric) -> Vec<u8> {
    let mut code = vec![0; sketched.coded.quantizer.code_len()];
    if metric == Metric::Dot {
        // A query has a range of its own: symmetric, with 128 for 0.
        let bound = vector.iter().fold(0.0f32, |bound, x| bound.max(x.abs()));
        let step = f64::from(bound) / 127.0;
        code.fill(128);
        for (code, &x) in code.iter_mut().zip(vector) {
            *code = (f64::from(x) / step + 128.5) as u8;
        }
    } else {
        sketched.coded.quantizer.encode(vector, &mut code);
    }
    code
}

/// What two codes are compared by, ascending.
fn value(metric: Metric, a: &[u8], b: &[u8]) -> f64 {
    let pairs = a.iter().zip(b).map(|(&a, &b)| (f64::from(a), f64::from(b)));
    match metric {
        Metric::Dot => -pairs.map(|(a, b)| (a - 128.0) * (b - 128.0)).sum::<f64>(),
        _ => pairs.map(|(a, b)| (a - b).powi(2)).sum(),
    }
}

#[test]
fn the_same_for_any_number_of_threads() {
    let vectors = clustered(7, 3_000, 130, 10);
    let coded = Coded::new(Metric::Cosine, 130, &vectors);
    let one = build_sketches(&coded.quantizer, &coded.bytes, &OneThread).expect("sketches");
    let three = build_sketches(&coded.quantizer, &coded.bytes, &Threads(3)).expect("sketches");
    assert_eq!(one, three);
}

/// Where all rows are about as far from the query, codes are scanned.
#[test]
fn bounds_that_tell_nothing_are_given_up() {
    let dim = 96;
    let vectors = clustered(11, 20_000, dim, 1);
    let sketched = Sketched::new(Metric::Cosine, dim, &vectors);
    let query: Vec<f32> = vectors[..dim].iter().map(|x| -x).collect();
    let query = sketched.coded.quantizer.query(&query);
    let found = sketched.scan(&query, 0..20_000, KEEP).expect("scan");
    assert!(found.distances > 19_000, "{}", found.distances);
    assert_eq!(
        found.candidates,
        query.scan(&sketched.coded.rows(), 0..20_000, KEEP).expect("codes")
    );
}

/// Real sentence embeddings, 384 components each.
fn wordnet(file: &str) -> Vec<f32> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/data/wordnet-10k");
    let bytes = std::fs::read(dir.join(file)).expect("data");
    let header = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let halves = bytes[header..].as_chunks::<2>().0;
    halves.iter().map(|half| half::f16::from_le_bytes(*half).to_f32()).collect()
}

/// What a scan with real queries compares is close to what it was expected to.
#[test]
fn looks_are_as_expected() {
    let sketched = Sketched::new(Metric::Cosine, 384, &wordnet("base.f16.npy"));
    let queries = wordnet("queries.f16.npy");
    for step in [1usize, 3, 16, 50] {
        let (mut looks, mut same) = (0, 0);
        for query in queries.chunks_exact(384) {
            let query = sketched.coded.quantizer.query(query);
            let found = sketched.scan(&query, (0..10_000).step_by(step), 26).expect("scan");
            let plain = query.scan(&sketched.coded.rows(), (0..10_000).step_by(step), 26);
            let plain = plain.expect("codes");
            same += plain.iter().filter(|row| found.candidates.contains(row)).count();
            looks += found.distances;
        }
        let mean = looks as f64 / (queries.len() / 384) as f64;
        let expected = sketched.built.sketches.expected.of(10_000 / step as u64, 26);
        assert!((0.6..1.7).contains(&(mean / expected)), "{step}: {mean}, expected {expected}");
        assert!(same as f64 >= 0.999 * (26 * queries.len() / 384) as f64, "{step}: {same}");
    }
    let expected = sketched.built.sketches.expected;
    assert!(expected.of(10_000, 260) > 5.0 * expected.of(10_000, 26));
    assert_eq!(expected.of(5, 26), 5.0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever the rows, the dimension and what is kept: every row at most once, and none but those.
    #[test]
    fn scans_of_any_shape(
        dim in 1..140usize,
        rows in 0..300usize,
        step in 1..7usize,
        keep in 0..40usize,
        metric in prop::sample::select(Metric::ALL.to_vec()),
        equal in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let mut vectors = clustered(seed, rows.max(1), dim, 5);
        vectors.truncate(rows * dim);
        if equal && rows > 0 {
            let first = vectors[..dim].to_vec();
            vectors.chunks_exact_mut(dim).for_each(|vector| vector.copy_from_slice(&first));
        }
        let sketched = Sketched::new(metric, dim, &vectors);
        let query = sketched.coded.quantizer.query(&vec![0.5; dim]);
        let some: Vec<u32> = (0..rows as u32).step_by(step).collect();
        let found = sketched.scan(&query, some.iter().copied(), keep).expect("scan");
        prop_assert_eq!(found.candidates.len(), keep.min(some.len()));
        prop_assert!(found.distances <= some.len());
        let mut seen: Vec<u32> = found.candidates.iter().map(|c| c.row).collect();
        seen.sort_unstable();
        prop_assert!(seen.is_sorted_by(|a, b| a < b));
        prop_assert!(seen.iter().all(|row| some.contains(row)));
        let again = Sketches::from_bytes(&sketched.built.sketches.to_bytes()).expect("bytes");
        prop_assert_eq!(&again, &sketched.built.sketches);
        prop_assert!(again.fit(&sketched.coded.quantizer));
    }
}

#[test]
fn damaged_heads_are_refused() {
    let sketched = Sketched::new(Metric::Dot, 5, &clustered(9, 40, 5, 3));
    let good = sketched.built.sketches.to_bytes();
    let refused = |at: usize, byte: u8, with: &str| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        let error = Sketches::from_bytes(&bytes).expect_err("damaged").to_string();
        assert!(error.contains(with), "{error}");
    };
    refused(0, 2, "sketches: version 2, this program reads 1");
    refused(4, 7, "unknown measure 7");
    refused(8, 6, "6 components and a centre of 5");
    refused(8, 0, "0 components and a centre of 5");
    refused(19, 0xff, "what was measured is out of range");
    for len in 0..good.len() {
        assert!(Sketches::from_bytes(&good[..len]).is_err(), "{len} bytes");
    }
}

#[test]
fn a_damaged_row_is_named() {
    let sketched = Sketched::new(Metric::Cosine, 70, &clustered(10, 100, 70, 3));
    let query = sketched.coded.quantizer.query(&[1.0; 70]);
    let error = sketched.scan(&query, 90..110, 10).expect_err("past the end");
    assert_eq!(error, Damaged { array: "sketch-rows", row: 100 });
    let sketches = &sketched.built.sketches;
    let none = FlatRows::new("codes", &[], 128);
    let error = sketches.scan(&query, &sketched.rows(), &none, 3..4, 10).expect_err("no codes");
    assert_eq!(error, Damaged { array: "codes", row: 3 });
}
