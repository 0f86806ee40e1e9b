//! `vecstore query`: the nearest records.

use std::time::{Duration, Instant};

use clap::{ArgGroup, Args};
use serde::Serialize;
use vecstore::{Collection, ComparedSegment, ErrorKind, RecordId, limits};

use crate::collection::Target;
use crate::failure::{Failure, Result};
use crate::grouped::{self, Groups};
use crate::ids::IdReading;
use crate::include::{self, Shown};
use crate::output::Output;
use crate::params::{self, Param};
use crate::records::{self, ShownRecord};
use crate::table::printable;
use crate::units;
use crate::vector::{self, VectorArg};

/// Find the records nearest to a vector
///
/// JSON: {"hits": [{"id", "score", "distance", "metadata", "vector"}], "complete", "seconds",
/// "plan", "alternatives"}; metadata and vector as included, the plan with --explain, the
/// alternatives with --all-alternatives. With --group-by: {"groups": [{"value", "hits"}], "complete",
/// "seconds", "steps"}
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("nearest_to").args(["vector", "like"]).required(true),
    group = ArgGroup::new("effort").args(["ef", "recall", "exact"]),
    after_help = "Examples:\n  vecstore query data docs --like 42 --filter \"pos = 'n' AND gloss_len < 80\"\n  vecstore query data docs --vector @queries.npy:3 -k 5 --filter 'domain = $d' --param 'd=\"noun.food\"'\n  vecstore query data docs --like 42 -k 5 --group-by domain --group-size 2"
)]
pub(crate) struct Query {
    #[command(flatten)]
    target: Target,
    /// Vector: a JSON array `[0.1,…]`, @FILE.json, @FILE.npy or @FILE.npy:ROW (from 0)
    #[arg(long, value_parser = vector::parse, allow_hyphen_values = true)]
    vector: Option<VectorArg>,
    /// Vector of the record with this ID, which is itself left out of the hits
    #[arg(long, value_name = "ID")]
    like: Option<String>,
    /// Records wanted
    #[arg(short, value_name = "N", default_value_t = 10)]
    k: usize,
    /// Only records whose metadata satisfies this: "pos = 'n' AND gloss_len < 80", or the same as
    /// JSON: {"field": "pos", "op": "=", "value": "n"}
    #[arg(long, value_name = "EXPRESSION")]
    filter: Option<String>,
    /// Value of $NAME in the filter, as JSON; can be repeated
    #[arg(long, value_name = "NAME=JSON", value_parser = params::parse)]
    param: Vec<Param>,
    /// Candidates kept while searching a graph [default: automatic]
    #[arg(long, value_name = "N")]
    ef: Option<usize>,
    /// Recall wanted, above 0 and at most 1
    #[arg(long, value_name = "R")]
    recall: Option<f32>,
    /// Compare every record
    #[arg(long)]
    exact: bool,
    /// Show the plan that ran
    #[arg(long)]
    explain: bool,
    /// Also run every strategy the plan had to choose from, and show what each took
    #[arg(long, requires = "explain")]
    all_alternatives: bool,
    /// What to show: metadata, metadata.FIELD, vector, separated by commas; or none
    #[arg(long, value_name = "LIST", default_value = Shown::DEFAULT, value_parser = include::parse)]
    include: Shown,
    /// Only records with at least this score
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    score_threshold: Option<f32>,
    /// Group the hits by the values of this field; -k is then the number of groups
    #[arg(long, value_name = "FIELD", conflicts_with = "explain")]
    group_by: Option<String>,
    /// Records of each group
    #[arg(long, value_name = "N", default_value_t = 1, requires = "group_by")]
    group_size: usize,
    #[command(flatten)]
    ids: IdReading,
}

#[derive(Serialize)]
struct GroupedAnswer {
    #[serde(flatten)]
    found: Groups,
    seconds: f64,
}

#[derive(Serialize)]
struct Answer<'a> {
    hits: &'a [ShownRecord],
    complete: bool,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alternatives: Option<Vec<serde_json::Value>>,
}

impl Query {
    pub(super) fn run(self, out: &mut Output) -> Result {
        let like = self.like.as_deref().map(|id| self.ids.read(id)).transpose()?;
        if like.is_some() && self.k == limits::K_MAX {
            return Err(Failure::usage(format!(
                "with --like, -k can be at most {}: the record itself takes a place",
                limits::K_MAX - 1
            )));
        }
        let given = self.vector.as_ref().map(VectorArg::load).transpose()?;
        let (db, collection) = self.target.open()?;
        let vector = match (given, &like) {
            (Some(vector), _) => vector,
            (None, Some(id)) => vector_of(&collection, id)?,
            (None, None) => return Err(Failure::usage("give --vector or --like")),
        };

        // The record itself takes a place among the hits, but not among the groups.
        let extra = like.is_some() && self.k > 0 && self.group_by.is_none();
        let k = self.k + usize::from(extra);
        let mut query = collection.query(&vector).k(k).include(self.include.include());
        if let Some(filter) = &self.filter {
            query = query.filter(filter);
        }
        for param in &self.param {
            query = query.bind(&param.name, param.value.clone());
        }
        if let Some(ef) = self.ef {
            query = query.ef(ef);
        }
        if let Some(recall) = self.recall {
            query = query.recall(recall);
        }
        if self.exact {
            query = query.exact();
        }
        if let Some(score) = self.score_threshold {
            query = query.score_threshold(score);
        }
        if let Some(field) = &self.group_by {
            let started = Instant::now();
            let found = grouped::run(query, field, self.group_size, like.as_ref(), &self.include)?;
            let answer = GroupedAnswer { found, seconds: started.elapsed().as_secs_f64() };
            db.close()?;
            return print_groups(answer, &self.include, out);
        }
        let alternatives =
            if self.all_alternatives { Some(query.clone().explain_alternatives()?) } else { None };
        let started = Instant::now();
        let (result, plan) = query.explain()?;
        let elapsed = started.elapsed();
        let complete = result.complete;
        let hits: Vec<ShownRecord> = result
            .into_iter()
            .filter(|hit| like.as_ref() != Some(&hit.id))
            .take(self.k)
            .map(|hit| ShownRecord::hit(hit, &self.include))
            .collect();
        db.close()?;

        if out.is_json() {
            let plan = self.explain.then(|| plan.to_json());
            let seconds = elapsed.as_secs_f64();
            let alternatives =
                alternatives.map(|all| all.iter().map(ComparedSegment::to_json).collect());
            return out.json(&Answer { hits: &hits, complete, seconds, plan, alternatives });
        }
        print(out, &hits, &self.include, complete, elapsed)?;
        if self.explain {
            writeln!(out, "\n{}", plan.to_string().trim_end())?;
        }
        for segment in alternatives.iter().flatten() {
            writeln!(out, "\n{}", segment.to_string().trim_end())?;
        }
        Ok(())
    }
}

fn print_groups(answer: GroupedAnswer, shown: &Shown, out: &mut Output) -> Result {
    if out.is_json() {
        return out.json(&answer);
    }
    let Groups { groups, complete, steps } = &answer.found;
    for group in groups {
        let value = printable(&records::cell(&group.value));
        out.heading(&value)?;
        out.table(&records::table(&group.hits, shown), 2)?;
    }
    let incomplete = if *complete { "" } else { "; records may be missing, run `vecstore verify`" };
    let found = units::counted(groups.len() as u64, "group");
    let elapsed = units::duration(Duration::from_secs_f64(answer.seconds));
    let summary = format!("{found} in {elapsed}: {}{incomplete}", steps.join("; "));
    let summary = out.dimmed(&summary);
    writeln!(out, "{summary}")
}

fn vector_of(collection: &Collection, id: &RecordId) -> Result<Vec<f32>> {
    match collection.get(id)? {
        Some(record) => Ok(record.vector),
        None => Err(Failure::new(
            ErrorKind::NotFound,
            format!("collection `{}` has no record `{id}`", collection.name()),
        )),
    }
}

fn print(
    out: &mut Output,
    hits: &[ShownRecord],
    shown: &Shown,
    complete: bool,
    elapsed: Duration,
) -> Result {
    if !hits.is_empty() {
        out.table(&records::table(hits, shown), 0)?;
    }
    let incomplete = if complete { "" } else { "; records may be missing, run `vecstore verify`" };
    let found = units::counted(hits.len() as u64, "hit");
    let summary = format!("{found} in {}{incomplete}", units::duration(elapsed));
    let summary = out.dimmed(&summary);
    writeln!(out, "{summary}")
}
