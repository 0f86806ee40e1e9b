//! `vecstore.Scroll`: pages of records.

use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyString;
use vecstore::{Cursor, RecordId};

use crate::failure::{Failure, Result};
use crate::id;
use crate::include::Included;
use crate::record::Record;
use crate::search::Params;
use crate::session::Kept;

/// Pages of records, in the order that was asked for: an iterator of lists of Record.
#[pyclass(frozen, module = "vecstore")]
pub(crate) struct Scroll {
    kept: Kept,
    asked: Asked,
    next: Mutex<Next>,
}

/// What is asked for with each page.
pub(crate) struct Asked {
    pub(crate) filter: Option<String>,
    pub(crate) params: Params,
    pub(crate) limit: usize,
    pub(crate) order_by: Option<String>,
    pub(crate) descending: bool,
    pub(crate) include: Included,
}

/// Where the next page begins.
#[derive(Clone)]
pub(crate) enum Next {
    Start,
    After(RecordId),
    Resume(Cursor),
    End,
}

impl Next {
    /// Reads `after` and `resume`, of which there may be one.
    pub(crate) fn read(after: Option<&Bound<'_, PyAny>>, resume: Option<&str>) -> Result<Self> {
        match (after, resume) {
            (None, None) => Ok(Next::Start),
            (Some(id), None) => Ok(Next::After(id::read(id)?)),
            (None, Some(cursor)) => {
                let cursor = cursor.parse::<Cursor>();
                Ok(Next::Resume(cursor.map_err(|e| Failure::from(e).about("resume"))?))
            }
            (Some(_), Some(_)) => {
                let both = "after and resume both say where the scroll begins, give one";
                Err(Failure::invalid(both).about("resume"))
            }
        }
    }
}

impl Scroll {
    pub(crate) fn new(kept: Kept, asked: Asked, from: Next) -> Result<Self> {
        if asked.descending && asked.order_by.is_none() {
            let alone = "descending needs order_by: the order of ids is ascending";
            return Err(Failure::invalid(alone).about("descending"));
        }
        Ok(Scroll { kept, asked, next: Mutex::new(from) })
    }

    /// No Python code runs, and nothing waits, while the lock is held.
    fn next(&self) -> Next {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The page that begins there; without the interpreter lock.
    fn page(&self, from: Next) -> Result<vecstore::Page> {
        let collection = self.kept.collection()?;
        let Asked { filter, params, limit, order_by, descending, include } = &self.asked;
        let mut scroll = collection.scroll().limit(*limit).include(include.read.clone());
        if let Some(filter) = filter {
            scroll = scroll.filter(filter);
        }
        for (name, value) in params {
            scroll = scroll.bind(name, value.clone());
        }
        scroll = match order_by {
            None => scroll,
            Some(field) if *descending => scroll.order_by_descending(field),
            Some(field) => scroll.order_by(field),
        };
        scroll = match from {
            Next::After(id) => scroll.after(id),
            Next::Resume(cursor) => scroll.resume(cursor),
            Next::Start | Next::End => scroll,
        };
        scroll.run().map_err(Failure::from)
    }
}

#[pymethods]
impl Scroll {
    /// The id behind which the next page begins, in the order of ids: hand it to
    /// `scroll(after=...)` to go on later. None at the start, at the end, and with order_by.
    #[getter]
    fn after<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.next() {
            Next::After(id) => id::to_python(py, &id).map(Some),
            Next::Start | Next::Resume(_) | Next::End => Ok(None),
        }
    }

    /// Where the next page begins, with order_by: a str to hand to `scroll(resume=...)`, with the
    /// same order_by and descending, to go on later, also in another process. None at the start, at
    /// the end, and in the order of ids.
    #[getter]
    fn cursor(&self) -> Option<String> {
        match self.next() {
            Next::Resume(cursor) => Some(cursor.to_string()),
            Next::Start | Next::After(_) | Next::End => None,
        }
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let Asked { limit, order_by, descending, .. } = &self.asked;
        let mut order = String::new();
        if let Some(field) = order_by {
            order = format!(", order_by={}", PyString::new(py, field).repr()?);
        }
        if *descending {
            order += ", descending=True";
        }
        let stands = match self.next() {
            Next::Start => "at the start",
            Next::After(_) | Next::Resume(_) => "between pages",
            Next::End => "at the end",
        };
        Ok(format!("Scroll(limit={limit}{order}, {stands})"))
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
        let next = match self.asked.order_by {
            None => page.next.take().map(Next::After),
            Some(_) => page.cursor.take().map(Next::Resume),
        };
        let next = next.unwrap_or(Next::End);
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = next;
        if page.records.is_empty() {
            return Ok(None);
        }
        let records = page.records.iter_mut().map(|record| {
            self.asked.include.project(&mut record.metadata);
            Record::new(py, record, &self.asked.include.read)
        });
        Ok(Some(records.collect::<PyResult<_>>()?))
    }
}
