//! What readers ask the background for: links and field indices of the rows they have looked at.
//!
//! Nothing is made that nobody asked for. A collection that is only written to, as by an import,
//! costs no linking, and rows that come after the last query are not linked before the next one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use super::Memtable;
use crate::memory::Use;
use crate::options::CollectionOptions;

/// How many of the first rows were asked for.
#[derive(Debug, Default)]
pub(super) struct Wanted(AtomicU32);

impl Wanted {
    pub(super) fn rows(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    /// Asks for the first `rows` rows, which are there; true if that is more than before.
    pub(super) fn raise(&self, rows: u32) -> bool {
        // Mostly it is not, and what is only loaded stays in every core's cache.
        self.rows() < rows && self.0.fetch_max(rows, Ordering::AcqRel) < rows
    }
}

/// The readers' end. To ask takes no lock.
#[derive(Clone, Debug)]
pub(crate) struct Asks(Sender<Message>);

/// The background's end.
#[derive(Debug)]
pub(crate) struct Asked(Receiver<Message>);

#[derive(Debug)]
enum Message {
    Work(Work),
    Stop,
}

/// A namespace of a memtable that has fallen behind of what was asked for.
#[derive(Debug)]
struct Work {
    table: Arc<Memtable>,
    namespace: u32,
    options: CollectionOptions,
}

impl Asks {
    pub(crate) fn new() -> (Self, Asked) {
        let (sender, receiver) = channel();
        (Asks(sender), Asked(receiver))
    }

    /// Has the background look at what is wanted of a namespace, unless it is on its list.
    pub(super) fn ask(&self, table: &Arc<Memtable>, namespace: u32, options: &CollectionOptions) {
        let listed = table.numbered(namespace).is_none_or(|rows| !rows.list());
        if !listed {
            let work = Work { table: Arc::clone(table), namespace, options: options.clone() };
            // Fails once the database closes, and then it is not wanted any more.
            let _ = self.0.send(Message::Work(work));
        }
    }

    /// Ends the background's work.
    pub(crate) fn stop(&self) {
        // It fails if the background has ended.
        let _ = self.0.send(Message::Stop);
    }
}

impl Asked {
    /// Does what is asked for, in turns if it is of several namespaces, until it is stopped.
    pub(crate) fn serve(self) {
        let mut list: VecDeque<Work> = VecDeque::new();
        loop {
            let message = match list.is_empty() {
                // Nothing to do until somebody asks.
                true => self.0.recv().ok(),
                false => self.0.try_recv().ok(),
            };
            match message {
                Some(Message::Stop) => return,
                Some(Message::Work(work)) => list.push_back(work),
                None if list.is_empty() => return,
                None => {}
            }
            if let Some(work) = list.pop_front()
                && work.advance()
            {
                list.push_back(work);
            }
        }
    }
}

impl Work {
    /// Makes one index or links one block of rows; false once nothing is left to do.
    fn advance(&self) -> bool {
        let Some(rows) = self.table.numbered(self.namespace) else { return false };
        // A flush makes its own indices and links what is missing, and faster.
        // Nor is anything made where memory is short: rows without links and indices are looked at.
        let goes_on = || !self.table.is_sealed() && self.table.held().has_room();
        let is_behind = || rows.fields.is_behind() || rows.graph.is_behind();
        if goes_on() && rows.fields.is_behind() {
            self.table.held().add(Use::Fields, rows.fields.advance(rows, &self.options));
        }
        if goes_on() && rows.graph.is_behind() {
            self.table.held().add(Use::Graphs, rows.graph.advance(rows, &self.options));
        }
        if goes_on() && is_behind() {
            return true;
        }
        rows.unlist();
        // Asked for between the last look and taking it off the list?
        goes_on() && is_behind() && rows.list()
    }
}
