//! Records: storing, reading, removing, counting.

use std::sync::Arc;

use serde_json::{Map, Value};
use vecstore::{Database, RecordId};

use super::model::{
    Count, Counted, Facet, FacetCount, FacetCounts, Get, Got, Id, Page, Params, Record, Remove,
    Removed, Scroll, Update, Updated, Upsert, Upserted,
};
use super::{Call, Problem, Result, Service, target};
use crate::include::{self, Shown};
use crate::records::ShownRecord;

/// What is shown of each record: metadata if nothing is said.
pub(super) fn shown(include: Option<&[String]>) -> Result<Shown> {
    match include {
        None => Ok(Shown::metadata()),
        Some(items) => include::parse_items(items.iter().map(String::as_str))
            .map_err(|message| Problem::invalid("include", message)),
    }
}

impl Service {
    pub(crate) async fn upsert(
        &self,
        call: &Call,
        collection: String,
        request: Upsert,
    ) -> Result<Upserted> {
        let count = request.records.len();
        self.write(call, count, move |db| {
            let docs = target(db, &collection, &request.namespace)?;
            let records = request.records.into_iter().map(vecstore::Record::from).collect();
            Ok(Upserted { seq: docs.batch_upsert(records)?, records: count as u64 })
        })
        .await
    }

    pub(crate) async fn get(&self, call: &Call, collection: String, request: Get) -> Result<Got> {
        let shown = shown(request.include.as_deref())?;
        self.read(call, move |db, _| {
            let docs = target(db, &collection, &request.namespace)?;
            let ids: Vec<RecordId> = request.ids.into_iter().map(|id| id.0).collect();
            // The limit of a page holds here too: an answer must fit in memory.
            if ids.len() > vecstore::limits::PAGE_RECORDS_MAX {
                let message = format!(
                    "{} ids are too many, use at most {}",
                    ids.len(),
                    vecstore::limits::PAGE_RECORDS_MAX
                );
                return Err(Problem::invalid("ids", message));
            }
            let found = docs.get_many(&ids, &shown.include())?;
            let records = found
                .into_iter()
                .map(|record| record.map(|record| ShownRecord::stored(record, &shown)))
                .collect();
            Ok(Got { records })
        })
        .await
    }

    pub(crate) async fn remove(
        &self,
        call: &Call,
        collection: String,
        request: Remove,
    ) -> Result<Removed> {
        let items = request.ids.as_ref().map_or(1, Vec::len);
        self.write(call, items, move |db| {
            let docs = target(db, &collection, &request.namespace)?;
            let removed = match chosen(request.ids, request.filter, &request.params)? {
                Chosen::Ids(ids) => docs.remove_many(&ids)?,
                Chosen::Filter(filter) => {
                    docs.select(filter.as_str()).bind_all(request.params).remove()?
                }
            };
            Ok(Removed { removed })
        })
        .await
    }

    pub(crate) async fn update(
        &self,
        call: &Call,
        collection: String,
        request: Update,
    ) -> Result<Updated> {
        let items = request.ids.as_ref().map_or(1, Vec::len);
        self.write(call, items, move |db| {
            let docs = target(db, &collection, &request.namespace)?;
            let patch = Value::Object(request.patch);
            let updated = match chosen(request.ids, request.filter, &request.params)? {
                Chosen::Ids(ids) => docs.update_many(&ids, patch)?,
                Chosen::Filter(filter) => {
                    docs.select(filter.as_str()).bind_all(request.params).update(patch)?
                }
            };
            Ok(Updated { updated })
        })
        .await
    }

    /// Changes metadata by a function, for what a merge patch can't say.
    pub(crate) async fn change(
        &self,
        call: &Call,
        collection: String,
        of: (Option<Vec<Id>>, Option<String>),
        change: impl Fn(&mut Map<String, Value>) + Send + 'static,
    ) -> Result<Updated> {
        let items = of.0.as_ref().map_or(1, Vec::len);
        self.write(call, items, move |db| {
            let docs = db.collection(&collection)?;
            let updated = match chosen(of.0, of.1, &Params::new())? {
                Chosen::Ids(ids) => docs.change_many(&ids, change)?,
                Chosen::Filter(filter) => docs.select(filter.as_str()).change(change)?,
            };
            Ok(Updated { updated })
        })
        .await
    }

    /// Removes all records of a namespace.
    pub(crate) async fn remove_namespace(
        &self,
        call: &Call,
        collection: String,
        namespace: String,
    ) -> Result<Removed> {
        self.write(call, 1, move |db| {
            Ok(Removed { removed: db.collection(&collection)?.remove_namespace(&namespace)? })
        })
        .await
    }

    pub(crate) async fn scroll(
        &self,
        call: &Call,
        collection: String,
        request: Scroll,
    ) -> Result<Page> {
        let shown = shown(request.include.as_deref())?;
        self.read(call, move |db, _| {
            let docs = target(db, &collection, &request.namespace)?;
            Ok(shown_page(prepare(docs.scroll(), &request, &shown)?.run()?, &shown))
        })
        .await
    }

    /// All pages, one after another; each takes its own turn in the pool.
    pub(crate) fn pages(&self, call: &Call, collection: String, request: Scroll) -> Result<Pages> {
        shown(request.include.as_deref())?;
        Ok(Pages {
            service: self.clone(),
            call: call.clone(),
            collection,
            request: Some(Arc::new(request)),
        })
    }

    pub(crate) async fn count(
        &self,
        call: &Call,
        collection: String,
        request: Count,
    ) -> Result<Counted> {
        self.read(call, move |db, _| {
            let docs = target(db, &collection, &request.namespace)?;
            let selection = docs.select(request.filter.as_deref()).bind_all(request.params);
            Ok(Counted { count: selection.count()? })
        })
        .await
    }

    pub(crate) async fn facet(
        &self,
        call: &Call,
        collection: String,
        request: Facet,
    ) -> Result<FacetCounts> {
        self.read(call, move |db, _| {
            let docs = target(db, &collection, &request.namespace)?;
            let mut facet = docs.facet(&request.field);
            if let Some(filter) = &request.filter {
                facet = facet.filter(filter);
            }
            for (name, value) in request.params {
                facet = facet.bind(&name, value);
            }
            if let Some(limit) = request.limit {
                facet = facet.limit(limit.min(vecstore::limits::PAGE_RECORDS_MAX));
            }
            let counts = facet.run()?;
            let values = counts.values.into_iter();
            Ok(FacetCounts {
                values: values.map(|v| FacetCount { value: v.value, count: v.count }).collect(),
                distinct: counts.distinct,
            })
        })
        .await
    }

    /// Whether the collection and the namespace can be written to; for streams, whose first
    /// records may be long in coming.
    pub(crate) async fn check_target(
        &self,
        call: &Call,
        collection: String,
        namespace: String,
    ) -> Result<()> {
        self.inspect(call, move |db: &Database| target(db, &collection, &namespace).map(drop)).await
    }
}

/// Records by id, or by what they are like.
enum Chosen {
    Ids(Vec<RecordId>),
    Filter(String),
}

/// Exactly one of the two; parameters belong to a filter.
fn chosen(ids: Option<Vec<Id>>, filter: Option<String>, params: &Params) -> Result<Chosen> {
    match (ids, filter) {
        (Some(ids), None) if params.is_empty() => {
            Ok(Chosen::Ids(ids.into_iter().map(|id| id.0).collect()))
        }
        (None, Some(filter)) => Ok(Chosen::Filter(filter)),
        (Some(_), None) => Err(Problem::invalid("params", "`params` belong to a filter")),
        (Some(_), Some(_)) => Err(Problem::invalid("filter", "give either `ids` or `filter`")),
        (None, None) => Err(Problem::invalid("ids", "give `ids` or `filter`")),
    }
}

/// The pages of a scroll that goes on until the end.
#[derive(Debug)]
pub(crate) struct Pages {
    service: Service,
    call: Call,
    collection: String,
    /// None at the end.
    request: Option<Arc<Scroll>>,
}

impl Pages {
    /// The next page, if there is one.
    ///
    /// Each page sees the collection as it is then: records that neither appear nor disappear
    /// meanwhile are seen exactly once, and no version is held for a slow reader.
    pub(crate) async fn next(&mut self) -> Result<Option<Page>> {
        let Some(request) = self.request.take() else { return Ok(None) };
        let (collection, mine) = (self.collection.clone(), Arc::clone(&request));
        let page = self
            .service
            .read(&self.call.next_part(), move |db, _| {
                let shown = shown(mine.include.as_deref())?;
                let docs = target(db, &collection, &mine.namespace)?;
                Ok(shown_page(prepare(docs.scroll(), &mine, &shown)?.run()?, &shown))
            })
            .await?;
        if let Some(cursor) = &page.cursor {
            let request = Arc::unwrap_or_clone(request);
            let resume = Some(cursor.clone());
            self.request = Some(Arc::new(Scroll { after: None, resume, ..request }));
        }
        Ok(Some(page))
    }
}

fn prepare<'a>(
    mut scroll: vecstore::Scroll<'a>,
    request: &'a Scroll,
    shown: &Shown,
) -> Result<vecstore::Scroll<'a>> {
    if let Some(filter) = &request.filter {
        scroll = scroll.filter(filter);
    }
    for (name, value) in &request.params {
        scroll = scroll.bind(name, value.clone());
    }
    if let Some(limit) = request.limit {
        scroll = scroll.limit(limit);
    }
    match (&request.order_by, request.descending) {
        (Some(field), false) => scroll = scroll.order_by(field),
        (Some(field), true) => scroll = scroll.order_by_descending(field),
        (None, false) => {}
        (None, true) => {
            return Err(Problem::invalid("descending", "`descending` needs `order_by`"));
        }
    }
    match (&request.after, &request.resume) {
        (Some(after), None) => scroll = scroll.after(&after.0),
        (None, Some(cursor)) => {
            scroll = scroll.resume(cursor.parse()?);
        }
        (Some(_), Some(_)) => {
            return Err(Problem::invalid("resume", "give either `after` or `resume`"));
        }
        (None, None) => {}
    }
    Ok(scroll.include(shown.include()))
}

fn shown_page(page: vecstore::Page, shown: &Shown) -> Page {
    let records = page.records.into_iter().map(|r| ShownRecord::stored(r, shown)).collect();
    let cursor = page.cursor.map(|cursor| cursor.to_string());
    Page { records, next: page.next.map(Id), cursor }
}

impl From<Record> for vecstore::Record {
    fn from(record: Record) -> Self {
        vecstore::Record::new(record.id.0, record.vector).metadata(Value::Object(record.metadata))
    }
}
