//! The records that satisfy a filter, to be counted, changed or removed.

use serde_json::Value;
use vecstore_query::{Filter, Params};
use vecstore_segments::{Metadata, RecordId};

use crate::Result;
use crate::collection::Collection;
use crate::commit::Operation;
use crate::options::CollectionOptions;
use crate::query::parse_filter;
use crate::update::{change_records, patch_records};

/// Records of a namespace that satisfy a filter; see [`Collection::select`].
#[derive(Clone, Debug)]
#[must_use = "a selection does nothing until `count`, `update` or `remove`"]
pub struct Selection<'a> {
    collection: &'a Collection,
    filter: Option<&'a str>,
    params: Params,
}

impl<'a> Selection<'a> {
    pub(crate) fn new(collection: &'a Collection, filter: Option<&'a str>) -> Self {
        Selection { collection, filter, params: Params::new() }
    }

    /// The value of `$name` in the filter.
    pub fn bind(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.params.insert(name.to_owned(), value.into());
        self
    }

    /// The values of several `$name`s in the filter.
    pub fn bind_all(mut self, params: impl IntoIterator<Item = (String, Value)>) -> Self {
        self.params.extend(params);
        self
    }

    /// How many there are.
    pub fn count(self) -> Result<u64> {
        let shard = self.collection.checked()?;
        let filter = self.parse(&shard.options)?;
        let version = shard.version();
        self.collection
            .views(&version)
            .iter()
            .map(|view| view.rows(filter.as_ref()).map(|rows| rows.len()))
            .sum()
    }

    /// Changes their metadata as [`Collection::update`] does; returns how many there were. Which
    /// records are meant is decided at the moment of the call; one that is replaced meanwhile is
    /// changed as it is then, if it still satisfies the filter. Each record changes as a whole; many
    /// go in several commits.
    pub fn update(self, patch: Value) -> Result<u64> {
        let (ids, filter) = self.ids()?;
        patch_records(self.collection, ids, &patch, filter.as_ref())
    }

    /// Changes their metadata by a function, as [`Collection::change_many`] does; which records are
    /// meant is decided as for [`update`](Self::update).
    pub fn change(self, change: impl Fn(&mut Metadata)) -> Result<u64> {
        let (ids, filter) = self.ids()?;
        change_records(self.collection, ids, &change, filter.as_ref())
    }

    /// The ids of the records, as of now; no version is held once they are known, as one holds files
    /// and memtables.
    fn ids(&self) -> Result<(Vec<RecordId>, Option<Filter>)> {
        let shard = self.collection.checked()?;
        let filter = self.parse(&shard.options)?;
        let version = shard.version();
        let mut ids = Vec::new();
        for view in self.collection.views(&version) {
            for row in &view.rows(filter.as_ref())? {
                ids.push(view.found(row).id()?);
            }
        }
        Ok((ids, filter))
    }

    /// Removes them as of the moment of the call; returns how many. A record that is replaced
    /// meanwhile stays. Many records go in several commits.
    pub fn remove(self) -> Result<u64> {
        const IDS_A_COMMIT: usize = 4_096;
        let shard = self.collection.checked()?;
        let filter = self.parse(&shard.options)?;
        let version = shard.version();
        let mut versions = Vec::new();
        for view in self.collection.views(&version) {
            for row in &view.rows(filter.as_ref())? {
                let found = view.found(row);
                versions.push((found.id()?, found.seq()?));
            }
        }
        let mut removed = 0;
        for some in versions.chunks(IDS_A_COMMIT) {
            removed += self.collection.write(Operation::RemoveVersions(some.to_vec()))?.records;
        }
        Ok(removed)
    }

    fn parse(&self, options: &CollectionOptions) -> Result<Option<Filter>> {
        parse_filter(self.filter, &self.params, options)
    }
}
