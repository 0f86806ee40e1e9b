//! Reading all records, page by page.

use std::collections::BinaryHeap;
use std::sync::Arc;

use serde_json::Value;
use vecstore_query::{Filter, Params};
use vecstore_segments::RecordId;

use crate::collection::Collection;
use crate::options::limits;
use crate::query::parse_filter;
use crate::record::{Include, StoredRecord};
use crate::version::Version;
use crate::{Error, Result};

/// A scroll in the making; see [`Collection::scroll`].
#[derive(Clone, Debug)]
#[must_use = "a scroll does nothing until `run` or `pages`"]
pub struct Scroll<'a> {
    collection: &'a Collection,
    filter: Option<&'a str>,
    params: Params,
    limit: usize,
    after: Option<RecordId>,
    include: Include,
}

/// Some records, ascending by id: integers, then UUIDs, then strings.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The records.
    pub records: Vec<StoredRecord>,
    /// Where the next page begins: hand it to [`Scroll::after`]. `None` on the last page.
    pub next: Option<RecordId>,
}

impl<'a> Scroll<'a> {
    pub(crate) fn new(collection: &'a Collection) -> Self {
        Scroll {
            collection,
            filter: None,
            params: Params::new(),
            limit: 100,
            after: None,
            include: Include::default(),
        }
    }

    /// Only records whose metadata satisfies this.
    pub fn filter(mut self, filter: &'a str) -> Self {
        self.filter = Some(filter);
        self
    }

    /// The value of `$name` in the filter.
    pub fn bind(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.params.insert(name.to_owned(), value.into());
        self
    }

    /// Records a page. Default 100, at most [`limits::PAGE_RECORDS_MAX`].
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Only records with an id after this one.
    pub fn after(mut self, id: impl Into<RecordId>) -> Self {
        self.after = Some(id.into());
        self
    }

    /// What to return of each record. Default: metadata.
    pub fn include(mut self, include: Include) -> Self {
        self.include = include;
        self
    }

    /// Reads one page of the collection as it is now. Records that neither appear nor disappear
    /// between two pages are seen exactly once.
    pub fn run(self) -> Result<Page> {
        let (version, filter) = self.prepare()?;
        self.page(&version, filter.as_ref(), self.after.as_ref())
    }

    /// All pages of the collection as it is now; later writes are not seen.
    pub fn pages(self) -> Result<impl Iterator<Item = Result<Page>> + 'a> {
        let (version, filter) = self.prepare()?;
        let mut after = self.after.clone();
        let mut finished = false;
        Ok(std::iter::from_fn(move || {
            if finished {
                return None;
            }
            let page = self.page(&version, filter.as_ref(), after.as_ref());
            match &page {
                Ok(Page { next: Some(next), .. }) => after = Some(next.clone()),
                _ => finished = true,
            }
            Some(page)
        }))
    }

    fn prepare(&self) -> Result<(Arc<Version>, Option<Filter>)> {
        let shard = self.collection.checked()?;
        if self.limit == 0 || self.limit > limits::PAGE_RECORDS_MAX {
            return Err(Error::invalid(format!(
                "collection `{}`, scroll: limit is {}, use 1 to {}",
                shard.name,
                self.limit,
                limits::PAGE_RECORDS_MAX
            ))
            .about("limit"));
        }
        Ok((shard.version(), parse_filter(self.filter, &self.params)?))
    }

    /// The `limit` smallest ids after `after`, and whether there are more.
    fn page(
        &self,
        version: &Version,
        filter: Option<&Filter>,
        after: Option<&RecordId>,
    ) -> Result<Page> {
        let parts = self.collection.views(version);
        let mut smallest: BinaryHeap<(RecordId, usize, u32)> = BinaryHeap::new();
        for (number, part) in parts.iter().enumerate() {
            for row in &part.rows(filter)? {
                let id = part.found(row).id()?;
                let wanted = after.is_none_or(|after| id > *after)
                    && (smallest.len() <= self.limit
                        || smallest.peek().is_some_and(|(largest, ..)| id < *largest));
                if wanted {
                    smallest.push((id, number, row));
                    if smallest.len() > self.limit + 1 {
                        smallest.pop();
                    }
                }
            }
        }
        let more = smallest.len() > self.limit;
        if more {
            smallest.pop();
        }
        let records = smallest
            .into_sorted_vec()
            .into_iter()
            .map(|(_, number, row)| parts[number].found(row).record(&self.include))
            .collect::<Result<Vec<_>>>()?;
        let next = records.last().filter(|_| more).map(|last| last.id.clone());
        Ok(Page { records, next })
    }
}
