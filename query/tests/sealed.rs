//! The planner and the executor over real segments: every selectivity, every correlation between
//! filter and vectors, several k, deletes, namespaces, damage.

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;
use support::sealed::{Records, options, segment, with_damage, write};
use support::{
    NaiveView, Rng, at_least, clustered, dear_scans, distance, less, metadata, near, path, request,
};
use vecstore_index::roaring::RoaringBitmap;
use vecstore_index::{Codes, Metric};
use vecstore_query::{
    Answer, Comparison, Costs, Effort, Filter, Request, SealedView, SegmentView, Stop, Strategy,
    Value, run,
};
use vecstore_segments::{
    IndexKind, IndexOption, MemVfs, Metadata, NamespaceRows, Segment, WriteOptions,
};

const ROWS: usize = 4_000;
const DIM: usize = 72;
const PLACES: usize = 8;
const QUERIES: usize = 24;

/// Share of the rows that a filter keeps.
const SELECTIVITIES: [f64; 8] = [1.0, 0.5, 0.2, 0.1, 0.05, 0.01, 0.003, 0.0005];

#[derive(Clone, Copy, Debug)]
enum Correlation {
    /// The filter has nothing to do with where vectors lie.
    None,
    /// The rows nearest to the queries pass.
    Positive,
    /// The rows farthest from the queries pass.
    Negative,
}

impl Correlation {
    const ALL: [Correlation; 3] = [Correlation::None, Correlation::Positive, Correlation::Negative];

    /// A filter that `count` rows pass, for queries near the place.
    fn filter(self, place: usize, count: usize) -> Filter {
        let near = format!("near_{place}");
        match self {
            Correlation::None => less("random", count as i64),
            Correlation::Positive => less(&near, count as i64),
            Correlation::Negative => at_least(&near, (ROWS - count) as i64),
        }
    }
}

/// Clustered vectors with the fields that the filters above read, and queries near the places
/// that those fields count from.
struct Corpus {
    naive: NaiveView,
    segment: Segment,
    /// A query vector and the number of the place that it is near to.
    queries: Vec<(usize, Vec<f32>)>,
}

/// The row that a place lies at.
fn place_row(place: usize) -> usize {
    17 + 400 * place
}

impl Corpus {
    fn new(metric: Metric) -> Self {
        Corpus::with(metric, IndexKind::Graph)
    }

    fn with(metric: Metric, index: IndexKind) -> Self {
        Corpus::written(metric, &indexed(metric, index))
    }

    fn written(metric: Metric, options: &WriteOptions) -> Self {
        let mut rng = Rng(metric as u64);
        let vectors = clustered(&mut rng, ROWS, DIM, 20);
        let mut all: Vec<Metadata> = vec![Metadata::new(); ROWS];
        for place in 0..PLACES {
            let distances: Vec<f32> =
                vectors.iter().map(|v| distance(metric, &vectors[place_row(place)], v)).collect();
            let mut by_distance: Vec<usize> = (0..ROWS).collect();
            by_distance.sort_by(|&a, &b| distances[a].total_cmp(&distances[b]));
            for (rank, &row) in by_distance.iter().enumerate() {
                all[row].insert(format!("near_{place}"), json!(rank));
            }
        }
        let mut shuffled: Vec<usize> = (0..ROWS).collect();
        for i in (1..ROWS).rev() {
            shuffled.swap(i, rng.below(i + 1));
        }
        for (rank, &row) in shuffled.iter().enumerate() {
            all[row].insert("random".into(), json!(rank));
        }

        let query = |i: usize| (i % PLACES, near(&mut rng, &vectors[place_row(i % PLACES)], 0.5));
        let queries = (0..QUERIES).map(query).collect();
        let records = Records::new(vectors.clone(), all.clone());
        let segment = segment(&records, options);
        let mut naive = NaiveView::new(metric, vectors);
        naive.metadata = all;
        Corpus { naive, segment, queries }
    }

    fn namespace(&self) -> &NamespaceRows {
        self.segment.namespace("").expect("all rows are in it")
    }
}

fn indexed(metric: Metric, index: IndexKind) -> WriteOptions {
    WriteOptions { index: IndexOption::Always(index), ..options(metric, DIM) }
}

fn without_codes(metric: Metric) -> WriteOptions {
    WriteOptions { codes: Codes::None, ..options(metric, DIM) }
}

/// Costs under which leaves are always read rather than all rows.
fn free_leaves() -> Costs {
    Costs { leaf_ns: 1e-3, cluster_row_ns: 1e-3, exact_random_ns: 1.0, ..dear_scans(DIM) }
}

/// Costs under which a graph is always walked rather than rows scanned, on full vectors too.
fn dear_rows() -> Costs {
    let scans = dear_scans(DIM);
    Costs { code_random_ns: scans.exact_random_ns, ..scans }
}

fn rows(answer: &Answer) -> Vec<u32> {
    answer.hits.iter().map(|hit| hit.row).collect()
}

/// Share of the true neighbours that were found. Other rows at the same distance count too.
fn recall(naive: &NaiveView, query: &[f32], answer: &Answer, truth: &[u32]) -> f64 {
    let Some(&last) = truth.last() else { return 1.0 };
    let distance = |row: u32| distance(naive.metric, query, &naive.vectors[row as usize]);
    let worst = distance(last) + 1e-5;
    let found = answer.hits.iter().filter(|hit| distance(hit.row) <= worst).count();
    found as f64 / truth.len() as f64
}

/// The grid: always min(k, matches) rows that all match; recall is the mean over all queries.
fn grid(corpus: &Corpus, deleted: &Arc<RoaringBitmap>, costs: &Costs, effort: Effort) -> Grid {
    let naive =
        NaiveView { deleted: deleted.iter().collect::<BTreeSet<u32>>(), ..corpus.naive.clone() };
    let view = SealedView::new(&corpus.segment, corpus.namespace(), deleted);
    let mut grid =
        Grid { recall_mean: 0.0, recall_min: 1.0, worst: String::new(), ran: BTreeSet::new() };
    let mut cells = 0;
    for correlation in Correlation::ALL {
        for selectivity in SELECTIVITIES {
            let count = ((ROWS as f64 * selectivity) as usize).max(1);
            for k in [1, 10, 100] {
                let mut cell = 0.0;
                for (place, query) in &corpus.queries {
                    let filter = correlation.filter(*place, count);
                    let request = Request { filter: Some(&filter), ..request(query, k, effort) };
                    let answer = run(&request, &[&view], costs).expect("an answer");
                    let truth = naive.truth(query, Some(&filter), k);
                    let what = || format!("{correlation:?} {selectivity}\n{}", answer.executed);
                    assert_eq!(answer.hits.len(), truth.len(), "{}", what());
                    assert!(answer.complete, "{}", what());
                    for hit in &answer.hits {
                        assert!(!deleted.contains(hit.row), "{}", what());
                        assert!(filter.matches(&naive.metadata[hit.row as usize]), "{}", what());
                    }
                    let segment = &answer.executed.segments[0];
                    assert_eq!(segment.rows_read, 0, "the fields are indexed: {}", what());
                    grid.ran.insert(segment.ran.name());
                    cell += recall(&naive, query, &answer, &truth);
                }
                cell /= corpus.queries.len() as f64;
                if cell < grid.recall_min {
                    grid.recall_min = cell;
                    grid.worst = format!("{correlation:?} {selectivity} k={k}");
                }
                grid.recall_mean += cell;
                cells += 1;
            }
        }
    }
    grid.recall_mean /= f64::from(cells);
    grid
}

#[derive(Debug)]
struct Grid {
    recall_mean: f64,
    /// Of the worst cell.
    recall_min: f64,
    /// Which one that is.
    worst: String,
    /// Strategies that ran.
    ran: BTreeSet<&'static str>,
}

fn some_deleted(seed: u64) -> Arc<RoaringBitmap> {
    let mut rng = Rng(seed);
    Arc::new((0..ROWS as u32).filter(|_| rng.below(5) == 0).collect())
}

#[test]
fn a_filtered_query_returns_all_that_match_and_the_right_ones() {
    for metric in Metric::ALL {
        let corpus = Corpus::new(metric);
        for deleted in [Arc::default(), some_deleted(3)] {
            let grid = grid(&corpus, &deleted, &Costs::default(), Effort::Auto);
            println!("{metric}, {} deleted, as planned: {grid:?}", deleted.len());
            assert!(grid.recall_mean >= 0.99 && grid.recall_min >= 0.97, "{grid:?}");

            let grid = self::grid(&corpus, &deleted, &dear_scans(DIM), Effort::Auto);
            println!("{metric}, {} deleted, always a walk: {grid:?}", deleted.len());
            assert!(grid.ran.contains("graph_sweep"), "{grid:?}");
            // The worst cells are inner products of rows far from the query, which the planner
            // scans; here it may not.
            assert!(grid.recall_mean >= 0.97 && grid.recall_min >= 0.9, "{grid:?}");
        }
    }
}

/// Costs under which sketches are read wherever more than a few rows match.
fn cheap_sketches() -> Costs {
    Costs {
        sketch_query_ns: 1.0,
        sketch_in_order_ns: 1e-3,
        sketch_random_ns: 1e-3,
        sketch_near_ns: 1e-3,
        code_in_order_ns: 100.0,
        code_random_ns: 100.0,
        code_near_ns: 100.0,
        exact_in_order_ns: 1e4,
        exact_random_ns: 1e4,
        exact_near_ns: 1e4,
        graph_step_ns: 1e6,
        dim: DIM,
        ..Costs::default()
    }
}

/// The same grid on sketches.
#[test]
fn a_filtered_query_of_sketches_returns_all_that_match_and_the_right_ones() {
    for metric in Metric::ALL {
        let corpus = Corpus::new(metric);
        for deleted in [Arc::default(), some_deleted(3)] {
            let grid = grid(&corpus, &deleted, &cheap_sketches(), Effort::Auto);
            println!("{metric}, {} deleted, sketches: {grid:?}", deleted.len());
            assert!(grid.ran.contains("scan_sketches"), "{grid:?}");
            assert!(!grid.ran.contains("graph_sweep"), "{grid:?}");
            assert!(grid.recall_mean >= 0.998 && grid.recall_min >= 0.98, "{grid:?}");
        }
    }
}

/// The same grid on leaves; where all that match lie far from the query, too.
#[test]
fn a_filtered_query_of_leaves_returns_all_that_match_and_the_right_ones() {
    for metric in Metric::ALL {
        let corpus = Corpus::with(metric, IndexKind::Clusters);
        for deleted in [Arc::default(), some_deleted(3)] {
            let grid = grid(&corpus, &deleted, &Costs::default(), Effort::Auto);
            println!("{metric}, {} deleted, as planned: {grid:?}", deleted.len());
            assert!(grid.recall_mean >= 0.99 && grid.recall_min >= 0.97, "{grid:?}");

            let grid = self::grid(&corpus, &deleted, &free_leaves(), Effort::Auto);
            println!("{metric}, {} deleted, always leaves: {grid:?}", deleted.len());
            assert!(grid.ran.contains("clusters"), "{grid:?}");
            assert!(grid.recall_mean >= 0.97 && grid.recall_min >= 0.9, "{grid:?}");
        }
    }
}

/// The same grid where nothing but full vectors can be compared.
#[test]
fn a_filtered_query_without_codes_returns_all_that_match_and_the_right_ones() {
    for metric in Metric::ALL {
        let corpus = Corpus::written(metric, &without_codes(metric));
        for deleted in [Arc::default(), some_deleted(3)] {
            for (costs, runs, least) in
                [(Costs::default(), "full_scan", 0.97), (dear_rows(), "graph_sweep", 0.85)]
            {
                let grid = grid(&corpus, &deleted, &costs, Effort::Auto);
                println!("{metric}, {} deleted: {grid:?}", deleted.len());
                let of_vectors = ["empty", "full_scan", "graph", "graph_sweep"];
                assert!(grid.ran.is_subset(&BTreeSet::from(of_vectors)), "{grid:?}");
                assert!(grid.ran.contains(runs), "{grid:?}");
                // The worst cells are inner products of rows far from the query, as above.
                assert!(grid.recall_mean >= 0.97 && grid.recall_min >= least, "{grid:?}");
            }
        }
    }
}

#[test]
fn exact_effort_is_exact() {
    for metric in Metric::ALL {
        let corpus = Corpus::new(metric);
        let grid = grid(&corpus, &some_deleted(4), &dear_scans(DIM), Effort::Exact);
        assert_eq!(grid.recall_min, 1.0, "{grid:?}");
        assert!(grid.ran.is_subset(&BTreeSet::from(["empty", "full_scan"])), "{grid:?}");
    }
}

#[test]
fn a_wanted_recall_is_kept() {
    let corpus = Corpus::new(Metric::Euclidean);
    for wanted in [0.8, 0.9, 0.95, 0.99, 0.999] {
        let grid = grid(&corpus, &Arc::default(), &dear_scans(DIM), Effort::Recall(wanted));
        println!("recall {wanted}: {grid:?}");
        assert!(grid.recall_mean >= f64::from(wanted), "{wanted}: {grid:?}");
    }
}

#[test]
fn a_scan_of_codes_has_the_recall_that_the_planner_believes() {
    let mut corpus = Corpus::new(Metric::Cosine);
    let mut rng = Rng(9);
    corpus.queries =
        (0..40).map(|i| (0, near(&mut rng, &corpus.naive.vectors[i * 90], 0.4))).collect();
    // Walking costs nothing, but a scan costs less.
    let costs = Costs {
        graph_step_ns: 1e9,
        exact_in_order_ns: 1e9,
        exact_near_ns: 1e9,
        ..Costs::default()
    };
    let no_sketches = Costs { sketch_in_order_ns: 1e9, sketch_near_ns: 1e9, ..costs };
    let cheap_looks = Costs { code_random_ns: 1e-3, ..costs };
    let view = SealedView::new(&corpus.segment, corpus.namespace(), &Arc::default()).stats();
    assert!(view.codes && view.graph.is_some());
    let deleted = Arc::default();
    let view = SealedView::new(&corpus.segment, corpus.namespace(), &deleted);
    for (strategy, costs) in
        [(Strategy::ScanRows, no_sketches), (Strategy::ScanSketches, cheap_looks)]
    {
        for k in [1, 10, 100] {
            let mut sum = 0.0;
            for (_, query) in &corpus.queries {
                let answer = run(&request(query, k, Effort::Auto), &[&view], &costs).unwrap();
                assert_eq!(answer.executed.segments[0].ran, strategy);
                sum += recall(&corpus.naive, query, &answer, &corpus.naive.truth(query, None, k));
            }
            let recall = sum / corpus.queries.len() as f64;
            assert!(recall >= 0.999, "{strategy}, k={k}: {recall}");
        }
    }
}

#[test]
fn filters_that_select_the_same_rows_give_the_same_result() {
    let corpus = Corpus::new(Metric::Cosine);
    let deleted = some_deleted(5);
    let view = SealedView::new(&corpus.segment, corpus.namespace(), &deleted);
    for count in [3, 40, 400, 2_000] {
        let count_i = count as i64;
        let filters = [
            less("random", count_i),
            Filter::Not(Box::new(at_least("random", count_i))),
            Filter::Between(path("random"), Value::Int(0), Value::Int(count_i - 1)),
            Filter::And(vec![
                Filter::Exists(path("near_0")),
                Filter::Compare(path("random"), Comparison::LessOrEqual, Value::Int(count_i - 1)),
            ]),
            Filter::Compare(path("random"), Comparison::Less, Value::Float(count as f64 - 0.5)),
        ];
        for costs in [Costs::default(), dear_scans(DIM)] {
            for (_, query) in &corpus.queries {
                let answers: Vec<Answer> = filters
                    .iter()
                    .map(|filter| {
                        let request =
                            Request { filter: Some(filter), ..request(query, 10, Effort::Auto) };
                        run(&request, &[&view], &costs).expect("an answer")
                    })
                    .collect();
                for answer in &answers[1..] {
                    assert_eq!(answer.hits, answers[0].hits, "{}", answer.executed);
                }
            }
        }
    }
}

#[test]
fn a_query_without_a_filter_walks_the_graph() {
    for (metric, codes) in Metric::ALL.into_iter().flat_map(|m| Codes::ALL.map(|codes| (m, codes)))
    {
        let mut rng = Rng(31);
        let corpus = Corpus::written(metric, &WriteOptions { codes, ..options(metric, DIM) });
        for deleted in [Arc::default(), some_deleted(6)] {
            let dead: BTreeSet<u32> = deleted.iter().collect();
            let naive = NaiveView { deleted: dead, ..corpus.naive.clone() };
            let view = SealedView::new(&corpus.segment, corpus.namespace(), &deleted);
            let mut mean = 0.0;
            for k in [1, 10, 100] {
                let mut sum = 0.0;
                for i in 0..50 {
                    let query = near(&mut rng, &corpus.naive.vectors[80 * i], 0.5);
                    let request = request(&query, k, Effort::Auto);
                    let answer = run(&request, &[&view], &dear_rows()).unwrap();
                    let segment = &answer.executed.segments[0];
                    assert!(matches!(segment.ran, Strategy::Graph { .. }), "{}", answer.executed);
                    assert!(answer.hits.iter().all(|hit| !deleted.contains(hit.row)));
                    sum += recall(&naive, &query, &answer, &naive.truth(&query, None, k));
                }
                let recall = sum / 50.0;
                println!("{metric}, {codes}, {} deleted, k={k}: {recall}", deleted.len());
                assert!(recall >= 0.95, "{metric} {codes} k={k}: {recall}");
                mean += recall / 3.0;
            }
            assert!(mean >= 0.97, "{metric} {codes}: {mean}");
        }
    }
}

#[test]
fn a_query_without_a_filter_reads_leaves() {
    for metric in Metric::ALL {
        let mut rng = Rng(31);
        let corpus = Corpus::with(metric, IndexKind::Clusters);
        for deleted in [Arc::default(), some_deleted(6)] {
            let dead: BTreeSet<u32> = deleted.iter().collect();
            let naive = NaiveView { deleted: dead, ..corpus.naive.clone() };
            let view = SealedView::new(&corpus.segment, corpus.namespace(), &deleted);
            for k in [1, 10, 100] {
                for (effort, wanted) in [
                    (Effort::Auto, 0.96),
                    (Effort::Recall(0.9), 0.89),
                    (Effort::Recall(0.99), 0.98),
                ] {
                    let mut sum = 0.0;
                    for i in 0..50 {
                        let query = near(&mut rng, &corpus.naive.vectors[80 * i], 0.5);
                        let request = request(&query, k, effort);
                        let answer = run(&request, &[&view], &free_leaves()).unwrap();
                        let segment = &answer.executed.segments[0];
                        let of_leaves = matches!(segment.ran, Strategy::Clusters { .. });
                        assert!(of_leaves, "{}", answer.executed);
                        assert!(answer.hits.iter().all(|hit| !deleted.contains(hit.row)));
                        sum += recall(&naive, &query, &answer, &naive.truth(&query, None, k));
                    }
                    let recall = sum / 50.0;
                    println!("{metric}, {} deleted, k={k}, {effort:?}: {recall}", deleted.len());
                    assert!(recall >= wanted, "{metric} k={k} {effort:?}: {recall}");
                }
            }
        }
    }
}

// ---- the view ------------------------------------------------------------------------------

/// Three namespaces, the middle one with a graph; rows of every view agree with a naive one.
#[test]
fn a_view_shows_its_namespace_and_nothing_else() {
    let mut rng = Rng(11);
    let sizes = [("", 300usize), ("b", 900), ("c", 40)];
    let mut records = Records::default();
    for (name, size) in sizes {
        for (n, vector) in clustered(&mut rng, size, DIM, 5).into_iter().enumerate() {
            records.namespaces.push(name.to_owned());
            records.vectors.push(vector);
            records.metadata.push(metadata(json!({ "n": n, "of": name })));
        }
    }
    let segment = segment(&records, &options(Metric::Dot, DIM));
    let deleted: Arc<RoaringBitmap> =
        Arc::new((0..records.vectors.len() as u32).filter(|_| rng.below(4) == 0).collect());

    let mut first = 0;
    for (name, size) in sizes {
        let namespace = segment.namespace(name).expect("was written");
        assert_eq!(namespace.rows, first..first + size as u32);
        let span = first as usize..first as usize + size;
        let mut naive = NaiveView::new(Metric::Dot, records.vectors[span.clone()].to_vec());
        naive.metadata = records.metadata[span].to_vec();
        naive.deleted = deleted.iter().filter_map(|row| row.checked_sub(first)).collect();
        let view = SealedView::new(&segment, namespace, &deleted);

        assert_eq!(view.live(), naive.live());
        let stats = view.stats();
        assert_eq!((stats.rows, u64::from(stats.live)), (size as u32, naive.live().len()));
        assert_eq!(stats.graph.is_some(), size >= 500);
        assert!(stats.codes && stats.degraded.is_empty());

        let filters = [
            less("n", 30),
            at_least("n", 30),
            Filter::Compare(path("of"), Comparison::Equal, Value::Str(name.to_owned())),
            Filter::Compare(path("of"), Comparison::Equal, Value::Str("b".to_owned())),
            Filter::Exists(path("nowhere")),
            Filter::Not(Box::new(Filter::Exists(path("nowhere")))),
        ];
        for filter in &filters {
            let (fast, slow) = (
                view.matching(filter, &Stop::never()).unwrap(),
                naive.matching(filter, &Stop::never()).unwrap(),
            );
            assert_eq!(fast.rows, slow.rows, "{name:?}: {filter}");
            assert!(fast.degraded.is_empty());
            for k in [1, 20] {
                let query = near(&mut rng, &naive.vectors[0], 0.3);
                let request = Request { filter: Some(filter), ..request(&query, k, Effort::Exact) };
                let answer = run(&request, &[&view], &Costs::default()).unwrap();
                assert_eq!(rows(&answer), naive.truth(&query, Some(filter), k));
                let request = Request { effort: Effort::Auto, ..request };
                let answer = run(&request, &[&view], &Costs::default()).unwrap();
                assert_eq!(answer.hits.len(), naive.truth(&query, Some(filter), k).len());
            }
        }
        first += size as u32;
    }
}

/// A field with more distinct strings than are indexed is read row by row, and only where needed.
#[test]
fn a_field_beyond_the_limits_is_read_row_by_row() {
    let mut rng = Rng(12);
    let vectors = clustered(&mut rng, 600, DIM, 5);
    let all: Vec<Metadata> = (0..600)
        .map(|n| metadata(json!({ "name": format!("row {n}"), "odd": n % 2 == 1 })))
        .collect();
    let records = Records::new(vectors.clone(), all.clone());
    let mut options = options(Metric::Cosine, DIM);
    options.fields.strings_max = 100;
    let segment = segment(&records, &options);
    let mut naive = NaiveView::new(Metric::Cosine, vectors);
    naive.metadata = all;

    let deleted = Arc::new(RoaringBitmap::from_iter(0..50u32));
    naive.deleted = (0..50).collect();
    let view = SealedView::new(&segment, segment.namespace("").unwrap(), &deleted);
    let ends_in_7 = Filter::Like(path("name"), "%7".to_owned());
    let odd = Filter::Compare(path("odd"), Comparison::Equal, Value::Bool(true));
    for (filter, read) in
        [(ends_in_7.clone(), 550), (Filter::And(vec![odd, ends_in_7]), 275), (less("odd", 3), 0)]
    {
        let found = view.matching(&filter, &Stop::never()).unwrap();
        assert_eq!(found.rows, naive.matching(&filter, &Stop::never()).unwrap().rows, "{filter}");
        assert_eq!(found.rows_read, read, "{filter}");
    }
}

// ---- damage --------------------------------------------------------------------------------

/// What is asked of a damaged segment: with and without a filter, by a scan and by a walk.
fn ask(view: &SealedView<'_>, query: &[f32], effort: Effort) -> Vec<(Option<Filter>, Answer)> {
    let mut answers = Vec::new();
    for filter in [None, Some(less("random", 1_500)), Some(at_least("near_0", 3_900))] {
        for costs in [Costs::default(), dear_scans(DIM), free_leaves()] {
            let request = Request { filter: filter.as_ref(), ..request(query, 10, effort) };
            let answer = run(&request, &[view], &costs).expect("damage is no error");
            answers.push((filter.clone(), answer));
        }
    }
    answers
}

#[test]
fn damaged_derived_sections_cost_time_and_nothing_else() {
    let mut rng = Rng(21);
    let corpus = Corpus::new(Metric::Euclidean);
    let records = Records::new(corpus.naive.vectors.clone(), corpus.naive.metadata.clone());
    let graph = MemVfs::default();
    write(&graph, &records, &indexed(Metric::Euclidean, IndexKind::Graph));
    let clusters = MemVfs::default();
    write(&clusters, &records, &indexed(Metric::Euclidean, IndexKind::Clusters));
    let of_graph = [
        "codes",
        "coarse-codes",
        "links",
        "quantizer",
        "upper-layers",
        "indexes",
        "calibrations",
        "fields",
    ];
    let of_clusters = ["codes", "clusters", "cluster-blocks", "indexes", "calibrations"];
    let no_codes = MemVfs::default();
    write(&no_codes, &records, &without_codes(Metric::Euclidean));
    let of_no_codes = ["links", "upper-layers", "indexes", "calibrations", "fields"];
    let cases = of_graph.map(|section| (&graph, section)).into_iter();
    let cases = cases.chain(of_clusters.map(|section| (&clusters, section)));
    for (vfs, section) in cases.chain(of_no_codes.map(|section| (&no_codes, section))) {
        let vfs = vfs.clone();
        let segment = with_damage(&vfs, section);
        let namespace = segment.namespace("").expect("is there");
        let mut noticed = false;
        for deleted in [Arc::default(), some_deleted(7)] {
            let view = SealedView::new(&segment, namespace, &deleted);
            let mut naive = corpus.naive.clone();
            naive.deleted = deleted.iter().collect();
            for _ in 0..4 {
                let query = near(&mut rng, &corpus.naive.vectors[place_row(0)], 0.5);
                for (filter, answer) in ask(&view, &query, Effort::Auto) {
                    let truth = naive.truth(&query, filter.as_ref(), 10);
                    let recall = recall(&naive, &query, &answer, &truth);
                    let executed = &answer.executed.segments[0];
                    assert!(answer.complete && recall >= 0.8, "{section}\n{}", answer.executed);
                    assert!(executed.unreadable.rows.is_empty(), "{}", answer.executed);
                    for line in &executed.degraded {
                        assert!(line.contains(section), "{section}: {line}");
                        noticed = true;
                    }
                    if section == "fields" && filter.is_some() {
                        assert_eq!(executed.rows_read, naive.live().len(), "{}", answer.executed);
                    }
                    if executed.ran == Strategy::FullScan {
                        assert_eq!(recall, 1.0, "{}", answer.executed);
                    }
                }
            }
        }
        assert!(noticed, "the damage of {section} was met and told");
    }
}

#[test]
fn damaged_sketches_give_way_to_codes() {
    let corpus = Corpus::new(Metric::Cosine);
    let records = Records::new(corpus.naive.vectors.clone(), corpus.naive.metadata.clone());
    let vfs = MemVfs::default();
    write(&vfs, &records, &options(Metric::Cosine, DIM));
    let filter = less("random", 3_500);
    let (_, query) = &corpus.queries[0];
    let request = Request { filter: Some(&filter), ..request(query, 10, Effort::Auto) };
    for (section, planned) in
        [("sketches", Strategy::ScanRows), ("sketch-rows", Strategy::ScanSketches)]
    {
        let segment = with_damage(&vfs, section);
        let deleted = Arc::default();
        let view = SealedView::new(&segment, segment.namespace("").expect("is there"), &deleted);
        let answer = run(&request, &[&view], &cheap_sketches()).expect("an answer");
        let executed = &answer.executed.segments[0];
        assert_eq!((executed.plan.strategy, executed.ran), (planned, Strategy::ScanRows));
        assert!(executed.degraded.iter().any(|line| line.contains(section)), "{executed:?}");
        assert!(answer.complete, "{}", answer.executed);
        let truth = corpus.naive.truth(query, Some(&filter), 10);
        assert_eq!(rows(&answer), truth, "{}", answer.executed);
    }
}

#[test]
fn damaged_vectors_leave_their_rows_out_and_serve_the_rest() {
    damaged_vectors_leave_their_rows_out(&options(Metric::Euclidean, DIM));
    damaged_vectors_leave_their_rows_out(&without_codes(Metric::Euclidean));
}

fn damaged_vectors_leave_their_rows_out(options: &WriteOptions) {
    let mut rng = Rng(22);
    let corpus = Corpus::new(Metric::Euclidean);
    let records = Records::new(corpus.naive.vectors.clone(), corpus.naive.metadata.clone());
    let vfs = MemVfs::default();
    write(&vfs, &records, options);
    let segment = with_damage(&vfs, "vectors");
    let damaged: BTreeSet<u32> =
        (0..ROWS as u32).filter(|&row| segment.vector(row).is_err()).collect();
    assert!(damaged.len() > 100 && damaged.len() < ROWS / 2, "{}", damaged.len());
    let mut naive = corpus.naive.clone();
    naive.deleted = damaged.clone();

    let deleted = Arc::default();
    let view = SealedView::new(&segment, segment.namespace("").expect("is there"), &deleted);
    let first = *damaged.first().expect("some are damaged") as usize;
    for _ in 0..4 {
        let query = near(&mut rng, &corpus.naive.vectors[first], 0.2);
        for (filter, answer) in ask(&view, &query, Effort::Exact) {
            assert_eq!(rows(&answer), naive.truth(&query, filter.as_ref(), 10));
            let left_out = &answer.executed.segments[0].unreadable;
            assert!(left_out.rows.iter().all(|row| damaged.contains(&row)));
            assert!(!left_out.rows.is_empty() && !answer.complete);
            let error = left_out.first_error.as_deref().expect("an error");
            assert!(error.contains("vectors"), "{error}");
        }
        let mut unreadable_met = false;
        for (filter, answer) in ask(&view, &query, Effort::Auto) {
            let truth = naive.truth(&query, filter.as_ref(), 10);
            assert_eq!(answer.hits.len(), truth.len(), "{}", answer.executed);
            assert!(recall(&naive, &query, &answer, &truth) >= 0.8, "{}", answer.executed);
            let left_out = &answer.executed.segments[0].unreadable;
            assert_eq!(answer.complete, left_out.rows.is_empty());
            unreadable_met |= !left_out.rows.is_empty();
        }
        assert!(unreadable_met);
    }
}

#[test]
fn damaged_metadata_matters_only_where_it_has_to_be_read() {
    let mut rng = Rng(23);
    let vectors = clustered(&mut rng, 3_000, DIM, 5);
    let all: Vec<Metadata> = (0..3_000)
        .map(|n| {
            // Long enough for several blocks of the file, whatever compression makes of it.
            let noise: String = (0..8).map(|_| format!("{:016x}", rng.next())).collect();
            metadata(json!({ "n": n, "name": format!("{n} {noise}") }))
        })
        .collect();
    let vfs = MemVfs::default();
    let mut options = options(Metric::Euclidean, DIM);
    options.fields.strings_max = 10;
    write(&vfs, &Records::new(vectors.clone(), all.clone()), &options);
    let segment = with_damage(&vfs, "metadata");
    let damaged: BTreeSet<u32> = (0..3_000).filter(|&row| segment.metadata(row).is_err()).collect();
    assert!(!damaged.is_empty() && damaged.len() < 1_500, "{}", damaged.len());

    let deleted = Arc::new(RoaringBitmap::from_iter([0u32, 5, *damaged.first().unwrap()]));
    let view = SealedView::new(&segment, segment.namespace("").unwrap(), &deleted);
    let mut naive = NaiveView::new(Metric::Euclidean, vectors);
    naive.metadata = all;
    naive.deleted = deleted.iter().collect();

    let indexed = less("n", 2_900);
    let found = view.matching(&indexed, &Stop::never()).unwrap();
    assert_eq!(found.rows, naive.matching(&indexed, &Stop::never()).unwrap().rows);
    assert!(found.unreadable.rows.is_empty() && found.rows_read == 0);

    let read = Filter::Like(path("name"), "%77%".to_owned());
    let found = view.matching(&read, &Stop::never()).unwrap();
    let damaged: RoaringBitmap = damaged.iter().copied().collect::<RoaringBitmap>() - &*deleted;
    assert_eq!(found.unreadable.rows, damaged);
    assert_eq!(found.rows, naive.matching(&read, &Stop::never()).unwrap().rows - damaged);
    assert!(found.unreadable.first_error.unwrap().contains("metadata"));

    let request = Request { filter: Some(&read), ..request(&naive.vectors[9], 5, Effort::Auto) };
    let answer = run(&request, &[&view], &Costs::default()).unwrap();
    assert!(answer.hits.len() == 5 && !answer.complete);
}
