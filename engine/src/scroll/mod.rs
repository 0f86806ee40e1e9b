//! Reading all records, page by page.

mod order;
mod sorted;
mod walk;

use std::sync::Arc;

use serde_json::Value;
use vecstore_query::{FieldOrder, Filter, Params};
use vecstore_segments::{FieldPath, RecordId};

pub use order::Cursor;
pub(crate) use sorted::KeptOrders;

use crate::collection::Collection;
use crate::options::limits;
use crate::query::parse_filter;
use crate::record::{Include, StoredRecord};
use crate::version::Version;
use crate::{Error, Result};
use order::Order;
use walk::Walk;

/// A scroll in the making; see [`Collection::scroll`].
#[derive(Clone, Debug)]
#[must_use = "a scroll does nothing until `run` or `pages`"]
pub struct Scroll<'a> {
    collection: &'a Collection,
    filter: Option<&'a str>,
    params: Params,
    limit: usize,
    order: Order,
    after: Option<After>,
    include: Include,
}

/// Where a scroll begins.
#[derive(Clone, Debug)]
enum After {
    Id(RecordId),
    Cursor(Cursor),
}

/// Some records, in the order of the scroll: by default ascending by id: integers, then UUIDs, then
/// strings.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The records.
    pub records: Vec<StoredRecord>,
    /// The id of the last record if there are more: where the next page begins in the order of ids.
    /// Hand it to [`Scroll::after`]. `None` on the last page.
    pub next: Option<RecordId>,
    /// Where the next page begins in any order: hand it to [`Scroll::resume`]. `None` on the last
    /// page.
    pub cursor: Option<Cursor>,
}

impl<'a> Scroll<'a> {
    pub(crate) fn new(collection: &'a Collection) -> Self {
        Scroll {
            collection,
            filter: None,
            params: Params::new(),
            limit: 100,
            order: Order::default(),
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

    /// Orders by a metadata field (`"year"`, or `"author.name"` for one inside objects), equal
    /// values by id. Ascending: false, true, numbers, strings by their bytes. Records without the
    /// field, or with null there, come last. Of the values of an array the one that comes first
    /// counts.
    ///
    /// The first page of an order that was not used lately sorts all records; later ones look only
    /// at what they return.
    pub fn order_by(mut self, field: &str) -> Self {
        self.order = Order(Some(FieldOrder { path: FieldPath::from(field), descending: false }));
        self
    }

    /// As [`order_by`](Self::order_by), largest value first; records without the field come last
    /// here too.
    pub fn order_by_descending(mut self, field: &str) -> Self {
        self.order = Order(Some(FieldOrder { path: FieldPath::from(field), descending: true }));
        self
    }

    /// Only records with an id after this one; in the order of ids.
    pub fn after(mut self, id: impl Into<RecordId>) -> Self {
        self.after = Some(After::Id(id.into()));
        self
    }

    /// Goes on where a page ended, in the same order.
    pub fn resume(mut self, cursor: Cursor) -> Self {
        self.after = Some(After::Cursor(cursor));
        self
    }

    /// What to return of each record. Default: metadata.
    pub fn include(mut self, include: Include) -> Self {
        self.include = include;
        self
    }

    /// Reads one page of the collection as it is now. Records that neither appear, disappear nor
    /// change their value between two pages are seen exactly once.
    pub fn run(self) -> Result<Page> {
        let (version, filter) = self.prepare()?;
        let mut walk = self.walk(version, filter.as_ref(), Some(self.limit))?;
        self.page(&mut walk)
    }

    /// All pages of the collection as it is now; later writes are not seen.
    pub fn pages(self) -> Result<impl Iterator<Item = Result<Page>> + 'a> {
        let (version, filter) = self.prepare()?;
        let mut walk = Some(self.walk(version, filter.as_ref(), None)?);
        Ok(std::iter::from_fn(move || {
            let page = self.page(walk.as_mut()?);
            if !matches!(&page, Ok(Page { next: Some(_), .. })) {
                walk = None;
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
        let filter = parse_filter(self.filter, &self.params, &shard.options)?;
        Ok((shard.version(), filter))
    }

    fn walk(
        &self,
        version: Arc<Version>,
        filter: Option<&Filter>,
        records_max: Option<usize>,
    ) -> Result<Walk> {
        let after = match self.after.clone() {
            None => None,
            Some(After::Cursor(cursor)) if cursor.order == self.order => Some(cursor),
            Some(After::Id(id)) if self.order == Order::default() => Some(Cursor::after_id(id)),
            Some(After::Id(_)) => {
                let why = "an id is a place in the order of ids only; with order_by use the cursor of \
                           the page before";
                return Err(self.refused(why).about("after"));
            }
            Some(After::Cursor(_)) => {
                let why = "the cursor is of a scroll in another order";
                return Err(self.refused(why).about("resume"));
            }
        };
        let order = self.order.clone();
        Walk::begin(version, self.collection, filter, order, after.as_ref(), records_max)
    }

    fn refused(&self, why: &str) -> Error {
        Error::invalid(format!("collection `{}`, scroll: {why}", self.collection.name()))
    }

    fn page(&self, walk: &mut Walk) -> Result<Page> {
        let (records, cursor) = walk.take(self.limit, &self.include)?;
        let next = cursor.as_ref().map(|cursor| cursor.id.clone());
        Ok(Page { records, next, cursor })
    }
}
