//! `vecstore demo`: what the database does, shown on real data that is part of the binary.
//!
//! Every step checks what it claims; a claim that does not hold ends the demo with an error.

mod data;
mod measure;
mod summary;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use vecstore::{Collection, Database, ErrorKind, Metric, Options, Record, RecordId};

use self::data::Question;
use self::measure::Measured;
use self::summary::{Answered, Ingest, Reopen, Summary, Writes};
use super::ingest::{close, ingest};
use super::optimize;
use crate::failure::{Failure, Result};
use crate::include::{self, Shown};
use crate::output::Output;
use crate::records::{self, ShownRecord};
use crate::units;

const COLLECTION: &str = "wordnet";
const SHOWN: &str = "metadata.lemmas,metadata.pos,metadata.gloss";
/// Hits shown of each query.
const K: usize = 5;
/// Records a commit.
const BATCH: usize = 1_000;
const INDENT: usize = 6;

/// Questions asked without a filter: the first of the data.
const PLAIN: std::ops::Range<usize> = 0..4;

/// Questions asked with a filter.
const FILTERED: [(usize, &str); 3] = [
    (4, "pos = 'v'"),
    (5, "domain = 'noun.food' AND gloss_len < 80"),
    (0, "domain IN ['noun.motive', 'verb.weather']"),
];

/// Filters under which recall is measured.
const MEASURED: [Option<&str>; 3] = [None, Some("pos = 'v'"), Some("domain = 'noun.food'")];

/// Show what VecStore does on 10,000 dictionary definitions, with nothing to install
///
/// Ingests, searches with and without filters, explains a plan, updates and removes, optimizes,
/// reopens, and measures recall and latency. The database is in a temporary folder and removed
/// at the end, unless --dir or --keep is given.
///
/// JSON: {"path", "ingest", "queries", "filtered", "plan", "writes", "optimize", "reopen",
/// "measured"}
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Folder for the database, which stays there [default: a temporary folder]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Keep the temporary folder, and say where it is
    #[arg(long)]
    keep: bool,
}

/// The folder of the database, and whether it stays.
enum Place {
    Kept(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Place {
    fn path(&self) -> &Path {
        match self {
            Place::Kept(path) => path,
            Place::Temporary(folder) => folder.path(),
        }
    }
}

impl Demo {
    pub(super) fn run(self, out: &mut Output) -> Result {
        let place = match self.dir {
            Some(dir) => Place::Kept(dir),
            None => {
                let folder = tempfile::Builder::new().prefix("vecstore-demo-").tempdir();
                let folder = folder.map_err(|e| Failure::io("temporary folder", &e))?;
                if self.keep { Place::Kept(folder.keep()) } else { Place::Temporary(folder) }
            }
        };
        let mut summary = Summary::default();
        if let Place::Kept(path) = &place {
            summary.path = Some(path.clone());
        }
        tour(place.path(), out, &mut summary)?;
        if out.is_json() {
            out.json(&summary)?;
        } else if let Place::Kept(path) = &place {
            let path = path.display();
            writeln!(out, "\nThe database is in {path}. Go on with, for example:")?;
            writeln!(out, "  vecstore query {path} {COLLECTION} --like 3 --filter \"pos = 'n'\"")?;
        }
        match place {
            Place::Temporary(folder) => {
                folder.close().map_err(|e| Failure::io("temporary folder", &e))
            }
            Place::Kept(_) => Ok(()),
        }
    }
}

/// All steps, in order.
fn tour(dir: &Path, out: &mut Output, summary: &mut Summary) -> Result {
    let questions = data::questions()?;
    let shown = include::parse(SHOWN).map_err(Failure::usage)?;
    say(out, |out| {
        writeln!(
            out,
            "{} WordNet definitions, embedded in {} components, cosine, in {}",
            units::count(data::RECORDS),
            data::DIM,
            dir.display()
        )
    })?;

    let db = Database::open(dir)?;
    let collection = fill(&db, out, summary)?;
    plain(&collection, &questions, &shown, out, summary)?;
    filtered(&collection, &questions, &shown, out, summary)?;
    explain(&collection, &questions, out, summary)?;
    write(&collection, &questions, out, summary)?;
    improve(&collection, out, summary)?;
    let (db, collection) = reopen(dir, db, collection, &questions, out, summary)?;
    quality(&collection, &questions, out, summary)?;
    close(db, collection)
}

/// Prints for people only, and at once.
fn say(out: &mut Output, print: impl FnOnce(&mut Output) -> Result) -> Result {
    if out.is_json() {
        return Ok(());
    }
    print(out)?;
    out.flush()
}

fn step(out: &mut Output, number: u32, title: &str) -> Result {
    say(out, |out| {
        writeln!(out)?;
        out.heading(&format!("{number}. {title}"))
    })
}

/// A claim of the demo.
fn check(holds: bool, claim: impl FnOnce() -> String) -> Result {
    if holds {
        return Ok(());
    }
    Err(Failure::new(ErrorKind::Conflict, format!("the demo found a bug: {}", claim())))
}

fn fill(db: &Database, out: &mut Output, summary: &mut Summary) -> Result<Collection> {
    step(out, 1, "Ingest: every batch is on disk before it is acknowledged")?;
    let options = Collection::options(data::DIM, Metric::Cosine);
    let collection = db.create_collection(COLLECTION, options).map_err(|e| {
        let failure = Failure::from(e);
        if failure.is(ErrorKind::AlreadyExists) {
            failure.with_note("choose another --dir")
        } else {
            failure
        }
    })?;
    let mut committed = 0;
    let mut source = data::base()?;
    let done = ingest(&collection, &mut source, 0, BATCH, out.is_json(), &mut committed)?;
    let count = collection.count(None)?;
    check(count == data::RECORDS, || format!("{count} records after the ingest"))?;
    let rate = units::rate(done.records, done.elapsed);
    let stats = collection.stats()?;
    say(out, |out| {
        writeln!(
            out,
            "   {} in {} ({} records/s), searchable from the first on",
            units::counted(done.records, "record"),
            units::duration(done.elapsed),
            units::count(rate as u64),
        )?;
        writeln!(
            out,
            "   sealed into {} of {} with graph and field indices in {}",
            units::counted(stats.segments.len() as u64, "segment"),
            units::bytes(stats.segments.iter().map(|s| s.bytes).sum()),
            units::duration(done.flush)
        )
    })?;
    summary.ingest = Some(Ingest {
        records: done.records,
        seconds: done.elapsed.as_secs_f64(),
        records_per_second: rate,
        flush_seconds: done.flush.as_secs_f64(),
    });
    Ok(collection)
}

fn plain(
    collection: &Collection,
    questions: &[Question],
    shown: &Shown,
    out: &mut Output,
    summary: &mut Summary,
) -> Result {
    step(out, 2, "Search by meaning: definitions that are not in the database, and their nearest")?;
    for question in &questions[PLAIN] {
        let result = collection.query(&question.vector).k(K).include(shown.include()).run()?;
        check(result.len() == K, || format!("{} hits for k = {K}", result.len()))?;
        let hits: Vec<ShownRecord> =
            result.into_iter().map(|hit| ShownRecord::hit(hit, shown)).collect();
        say(out, |out| {
            writeln!(out, "\n   “{}” ({})", question.gloss, question.lemmas.join(", "))?;
            out.table(&records::table(&hits, shown), INDENT)
        })?;
        let text = question.gloss.clone();
        summary.queries.push(Answered { text, filter: None, matches: None, hits });
    }
    Ok(())
}

fn filtered(
    collection: &Collection,
    questions: &[Question],
    shown: &Shown,
    out: &mut Output,
    summary: &mut Summary,
) -> Result {
    step(out, 3, "Filters: as many hits as asked for, or all that match, however rare they are")?;
    for (number, filter) in FILTERED {
        let question = &questions[number];
        let matches = collection.count(Some(filter))?;
        let query = collection.query(&question.vector).k(K).filter(filter);
        let result = query.include(shown.include()).run()?;
        let exact = collection.query(&question.vector).k(K).filter(filter).exact().run()?;
        let expected = matches.min(K as u64);
        check(result.len() as u64 == expected, || {
            format!("{} hits where {matches} match ({filter})", result.len())
        })?;
        let right = result.iter().filter(|hit| exact.iter().any(|e| e.id == hit.id)).count();
        let hits: Vec<ShownRecord> =
            result.into_iter().map(|hit| ShownRecord::hit(hit, shown)).collect();
        say(out, |out| {
            writeln!(out, "\n   “{}” where {filter}", question.gloss)?;
            out.table(&records::table(&hits, shown), INDENT)?;
            let note = format!(
                "{} of {} records match; {right} of {expected} hits are those of an exact search",
                units::count(matches),
                units::count(data::RECORDS)
            );
            let note = out.dimmed(&note);
            writeln!(out, "{:INDENT$}{note}", "")
        })?;
        let (text, filter) = (question.gloss.clone(), Some(filter.to_owned()));
        summary.filtered.push(Answered { text, filter, matches: Some(matches), hits });
    }
    Ok(())
}

fn explain(
    collection: &Collection,
    questions: &[Question],
    out: &mut Output,
    summary: &mut Summary,
) -> Result {
    step(out, 4, "EXPLAIN: the plan that ran, with what was estimated and what was measured")?;
    let (number, filter) = FILTERED[1];
    let (_, plan) = collection.query(&questions[number].vector).k(K).filter(filter).explain()?;
    say(out, |out| {
        plan.to_string().trim_end().lines().try_for_each(|line| writeln!(out, "   {line}"))
    })?;
    summary.plan = Some(plan.to_json());
    Ok(())
}

fn write(
    collection: &Collection,
    questions: &[Question],
    out: &mut Output,
    summary: &mut Summary,
) -> Result {
    step(out, 5, "Updates and removals: the next read sees them")?;
    let question = &questions[0];
    let nearest = |collection: &Collection| -> Result<Option<RecordId>> {
        Ok(collection.query(&question.vector).k(1).run()?.into_iter().next().map(|hit| hit.id))
    };
    let id = nearest(collection)?;
    let id = id.ok_or_else(|| Failure::new(ErrorKind::NotFound, "no record is nearest"))?;
    let record = collection.get(&id)?;
    let record = record.ok_or_else(|| Failure::new(ErrorKind::NotFound, "the hit is gone"))?;

    let mut metadata = record.metadata;
    let name = metadata.get("lemmas").map(records::cell).unwrap_or_default();
    metadata.insert("seen".to_owned(), json!(true));
    collection.upsert(Record::new(&id, record.vector).metadata(Value::Object(metadata)))?;
    let seen = collection.count(Some("seen = true"))?;
    let count = collection.count(None)?;
    check(seen == 1 && count == data::RECORDS, || {
        format!("{seen} records are seen and {count} are there after one update")
    })?;
    say(out, |out| writeln!(out, "   updated record {id} ({name}): `seen = true` matches {seen}"))?;

    check(collection.remove(&id)?, || format!("record {id} could not be removed"))?;
    check(nearest(collection)?.is_some_and(|next| next != id), || {
        format!("record {id} is found after it was removed")
    })?;
    check(collection.get(&id)?.is_none(), || format!("record {id} is there after removal"))?;
    let adverbs = collection.remove_where("pos = 'r'")?;
    let left = collection.count(Some("pos = 'r'"))?;
    let records = collection.count(None)?;
    check(left == 0 && records + adverbs + 1 == data::RECORDS, || {
        format!("{left} adverbs and {records} records are left")
    })?;
    say(out, |out| {
        writeln!(out, "   removed record {id}: the same query does not find it any more")?;
        writeln!(
            out,
            "   removed all {} where pos = 'r': {} are left",
            units::counted(adverbs, "adverb"),
            units::counted(records, "record")
        )
    })?;
    summary.writes = Some(Writes { updated: 1, removed: adverbs + 1, records });
    Ok(())
}

fn improve(collection: &Collection, out: &mut Output, summary: &mut Summary) -> Result {
    step(out, 6, "Optimize: segments become one, dead rows go, space comes back")?;
    let before = collection.count(None)?;
    let report = optimize::run_on(collection, out.is_json())?;
    let after = collection.count(None)?;
    check(before == after, || format!("{before} records became {after} in optimize"))?;
    say(out, |out| writeln!(out, "   {}", optimize::describe(&report)))?;
    summary.optimize = Some(report);
    Ok(())
}

/// What the shown queries answer: ids and scores.
fn answers(collection: &Collection, questions: &[Question]) -> Result<Vec<Vec<(RecordId, f32)>>> {
    let plain = PLAIN.map(|number| (number, None));
    let filtered = FILTERED.iter().map(|&(number, filter)| (number, Some(filter)));
    plain
        .chain(filtered)
        .map(|(number, filter)| {
            let mut query = collection.query(&questions[number].vector).k(K);
            if let Some(filter) = filter {
                query = query.filter(filter);
            }
            Ok(query.run()?.into_iter().map(|hit| (hit.id, hit.score)).collect())
        })
        .collect()
}

fn reopen(
    dir: &Path,
    db: Database,
    collection: Collection,
    questions: &[Question],
    out: &mut Output,
    summary: &mut Summary,
) -> Result<(Database, Collection)> {
    step(out, 7, "Close and reopen: ready in milliseconds, and the answers are the same")?;
    let before = answers(&collection, questions)?;
    let records = collection.count(None)?;
    close(db, collection)?;

    let started = Instant::now();
    let db = Database::open_existing(dir, Options::default())?;
    let collection = db.collection(COLLECTION)?;
    let elapsed: Duration = started.elapsed();
    let count = collection.count(None)?;
    check(count == records, || format!("{records} records became {count} on reopening"))?;
    let same_answers = answers(&collection, questions)? == before;
    check(same_answers, || "queries answer differently after reopening".to_owned())?;
    say(out, |out| {
        writeln!(
            out,
            "   opened {} in {}; all {} queries above give the same ids and scores",
            units::counted(count, "record"),
            units::duration(elapsed),
            before.len()
        )
    })?;
    summary.reopen = Some(Reopen { seconds: elapsed.as_secs_f64(), same_answers });
    Ok((db, collection))
}

fn quality(
    collection: &Collection,
    questions: &[Question],
    out: &mut Output,
    summary: &mut Summary,
) -> Result {
    let title = format!(
        "Recall and latency: {} held-out queries, k = 10, against an exact search",
        questions.len()
    );
    step(out, 8, &title)?;
    for filter in MEASURED {
        summary.measured.push(measure::measure(collection, questions, filter)?);
    }
    say(out, |out| out.table(&measured_table(&summary.measured), 3))
}

fn measured_table(rows: &[Measured]) -> crate::table::Table {
    use crate::table::Align::{Left, Right};
    let mut table = crate::table::Table::new(
        &[
            ("filter", Left),
            ("records", Right),
            ("recall@10", Right),
            ("p50 ms", Right),
            ("p95 ms", Right),
            ("p99 ms", Right),
            ("exact p50 ms", Right),
        ],
        7,
    );
    for row in rows {
        table.row([
            row.filter.clone().unwrap_or_else(|| "none".to_owned()),
            units::count(row.matches),
            format!("{:.4}", row.recall_at_10),
            format!("{:.2}", row.latency_ms.p50),
            format!("{:.2}", row.latency_ms.p95),
            format!("{:.2}", row.latency_ms.p99),
            format!("{:.2}", row.exact_latency_ms.p50),
        ]);
    }
    table
}
