//! An open database and the collections that Python holds of it, so that closing lets go of all.
//!
//! The engine keeps a folder locked as long as any handle lives. Python objects live until they
//! are collected, and a `with` block should be over when it is over. So Python objects hold keys,
//! and the handles live here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vecstore::ErrorKind;

use crate::failure::{Failure, Result};

/// An open database, until it is closed.
pub(crate) struct Session {
    open: Mutex<Option<Open>>,
    /// The process that opened it.
    process: u32,
}

struct Open {
    database: vecstore::Database,
    collections: HashMap<u64, vecstore::Collection>,
    next_key: u64,
}

impl Session {
    pub(crate) fn new(database: vecstore::Database) -> Arc<Self> {
        let open = Open { database, collections: HashMap::new(), next_key: 0 };
        Arc::new(Session { open: Mutex::new(Some(open)), process: std::process::id() })
    }

    /// No Python code runs, and nothing waits, while this is held.
    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the process was forked since. A lock that another thread held then is held for
    /// ever, so this is asked before every lock.
    fn forked(&self) -> bool {
        std::process::id() != self.process
    }

    fn with_open<T>(&self, work: impl FnOnce(&mut Open) -> Option<T>) -> Result<T> {
        if self.forked() {
            return Err(Failure::new(
                ErrorKind::Closed,
                "the database was opened before a fork; open it again in this process",
            ));
        }
        self.lock()
            .as_mut()
            .and_then(work)
            .ok_or_else(|| Failure::new(ErrorKind::Closed, "the database was closed"))
    }

    /// A handle on the database for one call.
    pub(crate) fn database(&self) -> Result<vecstore::Database> {
        self.with_open(|open| Some(open.database.clone()))
    }

    /// Keeps a collection for a Python object.
    pub(crate) fn keep(self: &Arc<Self>, collection: vecstore::Collection) -> Result<Kept> {
        let key = self.with_open(|open| {
            let key = open.next_key;
            open.next_key += 1;
            open.collections.insert(key, collection);
            Some(key)
        })?;
        Ok(Kept { session: Arc::clone(self), key })
    }

    /// Whether it is open in this process.
    pub(crate) fn is_open(&self) -> bool {
        !self.forked() && self.lock().is_some()
    }

    /// Closes the database; does nothing if it is closed already, or in a forked process, where
    /// it is not ours to close.
    pub(crate) fn close(&self) -> Result<()> {
        if self.forked() {
            return Ok(());
        }
        let open = self.lock().take();
        match open {
            None => Ok(()),
            Some(Open { database, collections, .. }) => {
                drop(collections);
                Ok(database.close()?)
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.forked() {
            // Its threads and their locks stayed in the other process: waiting for them would
            // never end.
            let open = self.open.get_mut().unwrap_or_else(PoisonError::into_inner);
            std::mem::forget(open.take());
        }
    }
}

/// A collection that is kept for a Python object, as long as that lives and the database is open.
pub(crate) struct Kept {
    session: Arc<Session>,
    key: u64,
}

impl Kept {
    /// A handle on the collection for one call.
    pub(crate) fn collection(&self) -> Result<vecstore::Collection> {
        self.session.with_open(|open| open.collections.get(&self.key).cloned())
    }

    /// Keeps another collection of the same database.
    pub(crate) fn keep(&self, collection: vecstore::Collection) -> Result<Kept> {
        self.session.keep(collection)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if !self.session.forked() {
            let collection =
                self.session.lock().as_mut().and_then(|open| open.collections.remove(&self.key));
            // After the lock.
            drop(collection);
        }
    }
}
