//! Quotas: what a collection, or one of its namespaces, may hold and ask for.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::collection::Collection;
use crate::kv::Batch;
use crate::state::CollectionState;
use crate::stats::Usage;
use crate::{Error, ErrorKind, Result, catalogue};

/// What a collection or a namespace may hold and ask for; `None` is no bound. Exceeding one fails
/// with [`QuotaExceeded`](ErrorKind::QuotaExceeded) and changes nothing.
///
/// There is none for the dimension: each collection has one, fixed when it is created and demanded of
/// every vector.
///
/// `records` and `bytes` bind what is added: a batch without new ids, an update, a removal and every
/// read still work where the quota is reached, or was lowered below what there is.
///
/// ```
/// use vecstore::{Collection, Database, ErrorKind, Metric, Quota, Record};
///
/// # fn main() -> vecstore::Result<()> {
/// let db = Database::in_memory()?;
/// let docs = db.create_collection("docs", Collection::options(1, Metric::Dot))?;
/// let tenant = docs.namespace("tenant-7")?;
/// tenant.set_namespace_quota(Quota { records: Some(1), ..Quota::default() })?;
/// tenant.upsert(Record::new("a", [1.0]))?;
/// tenant.upsert(Record::new("a", [2.0]))?;
/// let refused = tenant.upsert(Record::new("b", [1.0])).unwrap_err();
/// assert_eq!(refused.kind(), ErrorKind::QuotaExceeded);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
    /// Bytes of segment files and of records in memory. A namespace has its share of each file, by
    /// rows; a collection also pays for replaced and removed records, until they are merged away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Records of one `batch_upsert`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_records: Option<usize>,
    /// Records that one query returns: its `k`, for a grouped query times the size of a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results: Option<usize>,
}

/// The quotas of a collection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Quotas {
    pub(crate) collection: Quota,
    pub(crate) namespaces: BTreeMap<Arc<str>, Quota>,
}

impl Quotas {
    /// Those that bind a namespace, with whose they are.
    fn of<'q>(&'q self, namespace: &'q str) -> impl Iterator<Item = (&'q Quota, Option<&'q str>)> {
        let own = self.namespaces.get(namespace).map(|quota| (quota, Some(namespace)));
        std::iter::once((&self.collection, None)).chain(own)
    }

    /// Whether what a namespace holds is bounded, so that it has to be known.
    pub(crate) fn bound_contents(&self, namespace: &str) -> bool {
        self.of(namespace).any(|(quota, _)| quota.records.is_some() || quota.bytes.is_some())
    }

    /// Checks that a namespace may hold so much more. `usage` tells what there is: of the namespace,
    /// or of the whole collection.
    pub(crate) fn check_contents(
        &self,
        collection: &str,
        namespace: &str,
        more: Usage,
        usage: impl Fn(Option<&str>) -> Usage,
    ) -> Result<()> {
        for (quota, of) in self.of(namespace) {
            if quota.records.is_none() && quota.bytes.is_none() {
                continue;
            }
            let now = usage(of);
            let parts = [
                ("records", quota.records, now.records, more.records),
                ("bytes", quota.bytes, now.bytes, more.bytes),
            ];
            for (what, most, now, more) in parts {
                if most.is_some_and(|most| now.saturating_add(more) > most) {
                    return Err(exceeded(
                        collection,
                        of,
                        &format!(
                            "{} {what} are allowed, there are {now}, and this brings {more}; remove \
                         some or raise the quota",
                            most.unwrap_or_default()
                        ),
                    ));
                }
            }
        }
        Ok(())
    }

    pub(crate) fn check_batch(&self, collection: &str, namespace: &str, len: usize) -> Result<()> {
        self.check_request(collection, namespace, len, "records of a batch", |q| q.batch_records)
    }

    pub(crate) fn check_results(&self, collection: &str, namespace: &str, k: usize) -> Result<()> {
        self.check_request(collection, namespace, k, "results of a query", |q| q.results)
    }

    fn check_request(
        &self,
        collection: &str,
        namespace: &str,
        wanted: usize,
        what: &str,
        most: impl Fn(&Quota) -> Option<usize>,
    ) -> Result<()> {
        for (quota, of) in self.of(namespace) {
            if let Some(most) = most(quota).filter(|most| wanted > *most) {
                let problem = format!("{most} {what} are allowed, these are {wanted}");
                return Err(exceeded(collection, of, &problem));
            }
        }
        Ok(())
    }
}

fn exceeded(collection: &str, namespace: Option<&str>, problem: &str) -> Error {
    let of = namespace.map_or_else(String::new, |name| format!(", namespace `{name}`"));
    Error::new(ErrorKind::QuotaExceeded, format!("collection `{collection}`{of}, quota: {problem}"))
}

impl Collection {
    /// The quota of the collection, all namespaces together.
    pub fn quota(&self) -> Result<Quota> {
        Ok(self.checked()?.quotas.read().collection.clone())
    }

    /// Sets the quota of the collection, all namespaces together. It is durable when this returns;
    /// what is there already stays.
    pub fn set_quota(&self, quota: Quota) -> Result<()> {
        self.store_quota(None, quota)
    }

    /// The quota of this handle's namespace; that of the collection binds it too.
    pub fn namespace_quota(&self) -> Result<Quota> {
        let quotas = self.checked()?.quotas.read();
        Ok(quotas.namespaces.get(self.namespace_name()).cloned().unwrap_or_default())
    }

    /// Sets the quota of this handle's namespace. It stays when the namespace is removed.
    pub fn set_namespace_quota(&self, quota: Quota) -> Result<()> {
        self.store_quota(Some(self.namespace_name()), quota)
    }

    fn store_quota(&self, namespace: Option<&str>, quota: Quota) -> Result<()> {
        let shard: &CollectionState = self.checked()?;
        let state = self.state();
        let mut commit = state.commit.lock();
        commit.check()?;
        shard.check()?;
        let mut batch = Batch::default();
        catalogue::put_quota(&mut batch, shard.id, namespace, &quota);
        let committed = state.kv.commit(batch, true);
        commit.fail(committed)?;
        let mut quotas = shard.quotas.write();
        match namespace {
            None => quotas.collection = quota,
            Some(name) if quota == Quota::default() => drop(quotas.namespaces.remove(name)),
            Some(name) => drop(quotas.namespaces.insert(name.into(), quota)),
        }
        Ok(())
    }
}
