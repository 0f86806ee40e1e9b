//! Who leads. One writer at a time commits, for itself and for others that wait; then the next in
//! line leads.
//!
//! Knows nothing of what a write is: `tests/commit_queue/` compiles this very file against locks
//! whose order a scheduler decides.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use super::sync::{Condvar, Mutex};

/// Writers that wait, each with its write `W`, for what becomes of it, `R`.
#[derive(Debug)]
pub(crate) struct Queue<W, R> {
    waiting: Mutex<Waiting<W, R>>,
}

#[derive(Debug)]
struct Waiting<W, R> {
    tickets: Vec<Arc<Ticket<W, R>>>,
    leading: bool,
}

#[derive(Debug)]
struct Ticket<W, R> {
    bytes: usize,
    state: Mutex<TicketState<W, R>>,
    changed: Condvar,
}

#[derive(Debug)]
enum TicketState<W, R> {
    Waiting(W),
    /// This writer is to lead the next group.
    Leader(W),
    /// The leader has taken the write.
    Taken,
    Done(R),
}

/// A group takes no more writes once it has this many bytes.
const GROUP_BYTES_MAX: usize = 4 << 20;

impl<W, R> Default for Queue<W, R> {
    fn default() -> Self {
        Queue { waiting: Mutex::new(Waiting { tickets: Vec::new(), leading: false }) }
    }
}

impl<W, R> Queue<W, R> {
    /// Waits until the write is done, by another writer or by this one, and returns what became of
    /// it. The writer that leads calls `commit` with the writes of a group, in the order in which they
    /// came, and gets the outcome of each. If `commit` panics, each of the group gets `lost()`, the
    /// panic goes on in the thread that led, and the next in line leads.
    pub(crate) fn submit(
        &self,
        write: W,
        bytes: usize,
        commit: impl FnOnce(Vec<W>) -> Vec<R>,
        lost: impl Fn() -> R,
    ) -> R {
        let ticket = Arc::new(Ticket {
            bytes,
            state: Mutex::new(TicketState::Waiting(write)),
            changed: Condvar::new(),
        });
        let leads = {
            let mut waiting = self.waiting.lock();
            waiting.tickets.push(Arc::clone(&ticket));
            !std::mem::replace(&mut waiting.leading, true)
        };
        if !leads {
            let mut mine = ticket.state.lock();
            loop {
                match &*mine {
                    TicketState::Waiting(_) | TicketState::Taken => ticket.changed.wait(&mut mine),
                    TicketState::Leader(_) => break,
                    TicketState::Done(_) => return take_outcome(&mut mine),
                }
            }
        }
        self.lead(commit, lost);
        take_outcome(&mut ticket.state.lock())
    }

    /// Commits the writes that wait and hands the lead on.
    fn lead(&self, commit: impl FnOnce(Vec<W>) -> Vec<R>, lost: impl Fn() -> R) {
        let group = take_group(&mut self.waiting.lock().tickets);
        let writes: Vec<W> = group
            .iter()
            .map(|ticket| match std::mem::replace(&mut *ticket.state.lock(), TicketState::Taken) {
                TicketState::Waiting(write) | TicketState::Leader(write) => write,
                _ => unreachable!("a queued write has not been taken"),
            })
            .collect();
        // Whatever happens, the others must be told: they would wait for ever.
        let (outcomes, panic) = match catch_unwind(AssertUnwindSafe(|| commit(writes))) {
            Ok(outcomes) => (outcomes, None),
            Err(panic) => (Vec::new(), Some(panic)),
        };
        let mut outcomes = outcomes.into_iter();
        for ticket in group {
            let outcome = outcomes.next().unwrap_or_else(&lost);
            *ticket.state.lock() = TicketState::Done(outcome);
            ticket.changed.notify_one();
        }
        self.hand_over();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    fn hand_over(&self) {
        // Held to the end: a writer that comes between must find either the next leader or no one.
        let mut waiting = self.waiting.lock();
        match waiting.tickets.first() {
            None => waiting.leading = false,
            Some(next) => {
                let mut state = next.state.lock();
                if let TicketState::Waiting(write) =
                    std::mem::replace(&mut *state, TicketState::Taken)
                {
                    *state = TicketState::Leader(write);
                }
                next.changed.notify_one();
            }
        }
    }
}

fn take_outcome<W, R>(state: &mut TicketState<W, R>) -> R {
    match std::mem::replace(state, TicketState::Taken) {
        TicketState::Done(outcome) => outcome,
        _ => unreachable!("a leader finishes every write of its group, its own first"),
    }
}

/// The first writes that wait, up to the size limit and at least one.
fn take_group<W, R>(tickets: &mut Vec<Arc<Ticket<W, R>>>) -> Vec<Arc<Ticket<W, R>>> {
    let mut bytes = 0;
    let fit = tickets
        .iter()
        .take_while(|ticket| {
            bytes += ticket.bytes;
            bytes <= GROUP_BYTES_MAX
        })
        .count();
    tickets.drain(..fit.max(1).min(tickets.len())).collect()
}
