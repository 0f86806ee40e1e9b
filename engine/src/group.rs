//! The nearest records of each value of a field.

use std::collections::HashMap;

use serde_json::Value;
use vecstore_index::ExactQuery;
use vecstore_query::{Comparison, Filter, PreparedQuery, RowValues, SegmentView};
use vecstore_segments::{FieldPath, SegmentError};

use crate::facet::json;
use crate::options::limits;
use crate::query::{Query, stopped};
use crate::record::{Hit, Include};
use crate::state::CollectionState;
use crate::version::Version;
use crate::views::View;
use crate::{Error, Result};

/// A grouped query in the making; see [`Query::group_by`].
#[derive(Clone, Debug)]
#[must_use = "a query does nothing until `run`"]
pub struct GroupedQuery<'a> {
    query: Query<'a>,
    field: &'a str,
    size: usize,
}

/// The records of one value.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The value: null, a boolean, a number or a string.
    pub value: Value,
    /// Its nearest records, best first.
    pub hits: Vec<Hit>,
}

/// The groups with the nearest records.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupedResult {
    /// Ordered by their best hits, by value where those are the same: as many as were asked for, or one for each value if those are
    /// fewer.
    pub groups: Vec<Group>,
    /// False if records may be missing because their bytes are damaged.
    pub complete: bool,
    /// What was done for it, in order.
    pub steps: Vec<String>,
}

/// Hits by value, in the order in which the values first appear.
#[derive(Debug, Default)]
struct Gathered {
    order: Vec<u32>,
    hits: HashMap<u32, Vec<Hit>>,
}

impl<'a> Query<'a> {
    /// Groups the records by the values of a metadata field: `k` is then the number of groups, those
    /// with the best hits. A record whose field is an array is in the group of each element; one
    /// without the field is in none.
    ///
    /// ```
    /// # use serde_json::json;
    /// # use vecstore::{Collection, Database, Metric, Record};
    /// # fn main() -> vecstore::Result<()> {
    /// # let db = Database::in_memory()?;
    /// # let docs = db.create_collection("docs", Collection::options(1, Metric::Euclidean))?;
    /// for (id, book) in [(1, "a"), (2, "a"), (3, "b"), (4, "a")] {
    ///     docs.upsert(Record::new(id, [id as f32]).metadata(json!({"book": book})))?;
    /// }
    /// let found = docs.query(&[0.0]).k(2).group_by("book").group_size(2).run()?;
    /// let ids = |at: usize| -> Vec<_> { found.groups[at].hits.iter().map(|h| h.id.clone()).collect() };
    /// assert_eq!((&found.groups[0].value, ids(0)), (&json!("a"), vec![1.into(), 2.into()]));
    /// assert_eq!((&found.groups[1].value, ids(1)), (&json!("b"), vec![3.into()]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn group_by(self, field: &'a str) -> GroupedQuery<'a> {
        GroupedQuery { query: self, field, size: 1 }
    }
}

impl GroupedQuery<'_> {
    /// Records wanted of each group. Default 1; times `k` at most [`limits::K_MAX`].
    pub fn group_size(mut self, size: usize) -> Self {
        self.size = size;
        self
    }

    /// Finds the groups.
    ///
    /// First one query for a few times as many records as are wanted. If those have enough values,
    /// a further query for each group that is not full; if they have not, one exact scan of all
    /// matching records, so that the work is bounded whatever the values are.
    ///
    /// # Errors
    /// As [`Query::run`]; [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if the group size
    /// is 0 or too large.
    pub fn run(self) -> Result<GroupedResult> {
        let shard = self.query.collection.checked()?;
        let filter = self.query.check_all(shard)?;
        let (k, size) = (self.query.k, self.size);
        if size == 0 || k.saturating_mul(size) > limits::K_MAX {
            return Err(Error::invalid(format!(
                "collection `{}`, query: {k} groups of {size} records, use 1 or more, together at \
                 most {}",
                shard.name,
                limits::K_MAX
            )));
        }
        self.query.check_results(shard, k * size)?;
        let grouping = Grouping {
            query: &self.query,
            path: FieldPath::from(self.field),
            filter,
            size,
            shard,
            version: &shard.version(),
        };
        let mut found = grouping.run()?;
        let Include { metadata, .. } = self.query.include;
        for hit in found.groups.iter_mut().flat_map(|group| &mut group.hits) {
            if !metadata {
                hit.metadata.clear();
            }
        }
        Ok(found)
    }
}

/// A checked grouped query on one version.
struct Grouping<'a> {
    query: &'a Query<'a>,
    path: FieldPath,
    filter: Option<Filter>,
    size: usize,
    shard: &'a CollectionState,
    version: &'a Version,
}

impl Grouping<'_> {
    fn run(&self) -> Result<GroupedResult> {
        /// Records asked for at first, as a multiple of those wanted, and its bounds.
        const FIRST: usize = 4;
        const FIRST_MIN: usize = 64;
        const FIRST_MAX: usize = 4_096;
        let k = self.query.k;
        let wanted = (k * self.size).saturating_mul(FIRST).clamp(FIRST_MIN, FIRST_MAX);
        let wanted = wanted.max(k).min(limits::K_MAX);
        let exists = Filter::Exists(self.path.clone());
        let (hits, complete) = self.search(wanted, exists)?;
        let mut steps = vec![format!("a query for {wanted} records found {}", hits.len())];
        let all_seen = hits.len() < wanted;

        let mut values = RowValues::default();
        let mut gathered = Gathered::default();
        for hit in &hits {
            for value in values.of_record(&self.path, &hit.metadata) {
                gathered.add(value, hit, k, self.size);
            }
        }
        if !all_seen && gathered.order.len() < k {
            steps.push(format!("they have {} of {k} values", gathered.order.len()));
            return self.scan(steps);
        }
        let mut complete = complete;
        if !all_seen {
            let short: Vec<u32> = gathered.short(self.size).collect();
            for &value in &short {
                let this =
                    Filter::Compare(self.path.clone(), Comparison::Equal, values.value(value));
                let (hits, whole) = self.search(self.size, this)?;
                complete &= whole;
                gathered.replace(value, hits);
            }
            if !short.is_empty() {
                steps.push(format!("{} queries for groups that were not full", short.len()));
            }
        }
        Ok(GroupedResult { groups: gathered.into_groups(&values), complete, steps })
    }

    /// The nearest records that satisfy the filter and `also`, with metadata.
    fn search(&self, k: usize, also: Filter) -> Result<(Vec<Hit>, bool)> {
        let filter = match &self.filter {
            Some(filter) => Filter::And(vec![filter.clone(), also]),
            None => also,
        };
        let include = Include { metadata: true, ..self.query.include };
        let query = self.query.clone().k(k).include(include);
        let (found, _) = query.search(query.vector, Some(&filter), self.shard, self.version)?;
        Ok((found.hits, found.complete))
    }

    /// Compares every matching record.
    fn scan(&self, mut steps: Vec<String>) -> Result<GroupedResult> {
        let metric = self.shard.options.metric();
        let vector = self.query.vector;
        let (exact, stop) = (ExactQuery::new(metric, vector), self.query.stop());
        let prepared = PreparedQuery { vector, exact, stop: &stop };
        let parts = self.query.collection.views(self.version);
        let mut values = RowValues::default();
        let mut complete = true;
        let (mut rows_values, mut nearest) = (Vec::new(), Vec::new());
        for (at, part) in parts.iter().enumerate() {
            let mut rows = part.as_view().live();
            if let Some(filter) = &self.filter {
                let matching = part.as_view().matching(filter, &stop)?;
                complete &= matching.unreadable.rows.is_empty();
                rows = matching.rows;
            }
            stop.go_on().map_err(stopped)?;
            let of_part = part.row_values(&self.path, &rows, &mut values)?;
            rows = of_part.iter().map(|(row, _)| *row).collect();
            complete &= scan_exact(part, &prepared, &rows, |distance, row| {
                nearest.push((distance, at, row));
            })?;
            stop.go_on().map_err(stopped)?;
            rows_values.push(of_part);
        }
        steps.push(format!("an exact scan of {} records", nearest.len()));
        nearest.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));

        let (k, mut gathered) = (self.query.k, Gathered::default());
        for (distance, at, row) in nearest {
            let score = metric.score(distance);
            let is_full = gathered.order.len() == k && gathered.short(self.size).next().is_none();
            if is_full || self.query.score_threshold.is_some_and(|least| score < least) {
                break;
            }
            let of_part = &rows_values[at];
            let first = of_part.partition_point(|(other, _)| *other < row);
            let mut hit = None;
            let same_row = of_part[first..].iter().take_while(|(other, _)| *other == row);
            let mut of_row: Vec<u32> = same_row.map(|(_, value)| *value).collect();
            values.sort(&mut of_row);
            for value in of_row {
                if !gathered.wants(value, k, self.size) {
                    continue;
                }
                let hit = match &hit {
                    Some(hit) => hit,
                    None => {
                        let record = parts[at].found(row).record(&self.query.include)?;
                        hit.insert(Hit {
                            id: record.id,
                            score,
                            distance,
                            metadata: record.metadata,
                            vector: record.vector,
                        })
                    }
                };
                gathered.add(value, hit, k, self.size);
            }
        }
        Ok(GroupedResult { groups: gathered.into_groups(&values), complete, steps })
    }
}

/// Calls `found` with the distance of each row; false if some can't be read.
fn scan_exact(
    part: &View<'_>,
    query: &PreparedQuery<'_>,
    rows: &vecstore_index::roaring::RoaringBitmap,
    mut found: impl FnMut(f32, u32),
) -> Result<bool> {
    let view: &dyn SegmentView = part.as_view();
    let all = usize::try_from(rows.len()).unwrap_or(usize::MAX);
    match view.scan_exact(query, Some(rows), all) {
        Ok(scanned) => {
            scanned.candidates.iter().for_each(|c| found(c.distance, c.row));
            return Ok(true);
        }
        Err(SegmentError::Corrupt { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    for row in rows {
        match view.distance(query, row) {
            Ok(distance) => found(distance, row),
            Err(SegmentError::Corrupt { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

impl Gathered {
    /// Whether a hit of this value has a place among `k` groups of `size`.
    fn wants(&self, value: u32, k: usize, size: usize) -> bool {
        match self.hits.get(&value) {
            Some(hits) => hits.len() < size,
            None => self.order.len() < k,
        }
    }

    /// Adds a hit, if it has a place; hits come nearest first.
    fn add(&mut self, value: u32, hit: &Hit, k: usize, size: usize) {
        if !self.wants(value, k, size) {
            return;
        }
        let hits = self.hits.entry(value).or_insert_with(|| {
            self.order.push(value);
            Vec::new()
        });
        hits.push(hit.clone());
    }

    /// Values that have fewer hits than wanted.
    fn short(&self, size: usize) -> impl Iterator<Item = u32> {
        let is_short = move |value: &u32| self.hits.get(value).is_none_or(|hits| hits.len() < size);
        self.order.iter().copied().filter(is_short)
    }

    /// A group's hits, found by a query of their own. One that found less than is known already
    /// (it may have looked elsewhere in a graph) changes nothing.
    fn replace(&mut self, value: u32, hits: Vec<Hit>) {
        if self.hits.get(&value).is_none_or(|before| before.len() <= hits.len()) {
            self.hits.insert(value, hits);
        }
    }

    fn into_groups(mut self, values: &RowValues) -> Vec<Group> {
        let mut groups: Vec<Group> = (self.order.iter())
            .filter_map(|value| {
                let hits = self.hits.remove(value)?;
                Some(Group { value: json(values.value(*value)), hits })
            })
            .collect();
        let best = |group: &Group| group.hits.first().map_or(f32::INFINITY, |hit| hit.distance);
        groups.sort_by(|a, b| best(a).total_cmp(&best(b)));
        groups
    }
}
