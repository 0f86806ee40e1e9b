//! `vecstore.Scroll`: pages of records.

use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use vecstore::RecordId;

use crate::failure::{Failure, Result};
use crate::id;
use crate::include::Included;
use crate::record::Record;
use crate::search::Params;
use crate::session::Kept;

/// Pages of records, ascending by id: an iterator of lists of Record.
#[pyclass(frozen, module = "vecstore")]
pub(crate) struct Scroll {
    kept: Kept,
    filter: Option<String>,
    params: Params,
    limit: usize,
    include: Included,
    next: Mutex<Next>,
}

/// Where the next page begins.
#[derive(Clone)]
enum Next {
    Start,
    After(RecordId),
    End,
}

impl Scroll {
    pub(crate) fn new(
        kept: Kept,
        filter: Option<String>,
        params: Params,
        limit: usize,
        after: Option<RecordId>,
        include: Included,
    ) -> Self {
        let next = Mutex::new(after.map_or(Next::Start, Next::After));
        Scroll { kept, filter, params, limit, include, next }
    }

    /// No Python code runs, and nothing waits, while the lock is held.
    fn next(&self) -> Next {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The page that begins there; without the interpreter lock.
    fn page(&self, from: Next) -> Result<vecstore::Page> {
        let collection = self.kept.collection()?;
        let mut scroll = collection.scroll().limit(self.limit).include(self.include.read.clone());
        if let Some(filter) = &self.filter {
            scroll = scroll.filter(filter);
        }
        for (name, value) in &self.params {
            scroll = scroll.bind(name, value.clone());
        }
        if let Next::After(id) = from {
            scroll = scroll.after(id);
        }
        scroll.run().map_err(Failure::from)
    }
}

#[pymethods]
impl Scroll {
    /// Where the next page begins: hand it to `scroll(after=...)` to go on later. None at the
    /// start and at the end.
    #[getter]
    fn after<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.next() {
            Next::After(id) => id::to_python(py, &id).map(Some),
            Next::Start | Next::End => Ok(None),
        }
    }

    fn __iter__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __next__(&self, py: Python<'_>) -> Result<Option<Vec<Record>>> {
        let from = self.next();
        if matches!(from, Next::End) {
            return Ok(None);
        }
        let mut page = py.detach(|| self.page(from))?;
        let next = page.next.take().map_or(Next::End, Next::After);
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = next;
        if page.records.is_empty() {
            return Ok(None);
        }
        let records = page.records.iter_mut().map(|record| {
            self.include.project(&mut record.metadata);
            Record::new(py, record, &self.include.read)
        });
        Ok(Some(records.collect::<PyResult<_>>()?))
    }
}
