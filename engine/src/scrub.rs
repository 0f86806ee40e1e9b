//! Scrub: a thread reads all segments again, slowly, and compares them with their checksums, so that
//! damage is found while what makes it good is still there, and not when the record is needed.
//!
//! What it finds is told in `stats`, and taken out of use: a derived section is not read any more, a
//! row that is damaged is an error. If no row is damaged the segment is written anew, as a merge of
//! one. Between two pieces it holds neither lock, nor file, nor version, so nothing waits for it.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use serde::Serialize;
use vecstore_segments::ScrubStep;

use crate::state::{CollectionState, State};
use crate::version::SegmentFile;

/// A pass begins so long after the one before, or at once if that took longer. Disks lose little in a
/// day, and one that is idle can sleep.
const PASS_EVERY: Duration = Duration::from_secs(24 * 60 * 60);
/// What a piece has, about; waited for before the first one, so that a process that opens a database
/// for a moment reads nothing.
const PIECE_BYTES: u64 = 1 << 20;

pub(crate) const BEGINS: &str = "scrub: a pass begins";
pub(crate) const BETWEEN: &str = "scrub: between two pieces";

/// What the scrub has done since the database was opened.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ScrubStats {
    /// Bytes a second that it may read; 0 if it is off, as it is in memory.
    pub bytes_per_s: u64,
    /// Bytes that were compared.
    pub bytes: u64,
    /// Those of them that were read through the system's cache, because the volume has no other way:
    /// what the disk has made of them is not known.
    pub cached_bytes: u64,
    /// Damaged places that were found; one that stays is counted in each pass.
    pub damaged: u64,
    /// Passes over all segments that came to their end.
    pub passes: u64,
    /// When the last one did.
    pub last_pass_unix_ms: Option<u64>,
    /// How long it took.
    pub last_pass_seconds: Option<f64>,
}

/// Counts them.
#[derive(Debug, Default)]
pub(crate) struct Scrubbed {
    bytes: AtomicU64,
    cached_bytes: AtomicU64,
    damaged: AtomicU64,
    passes: Mutex<Passes>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Passes {
    ended: u64,
    /// When the last one ended, in milliseconds since 1970, and how long it took.
    last: Option<(u64, f64)>,
}

impl Scrubbed {
    fn note_step(&self, step: &ScrubStep) {
        self.bytes.fetch_add(step.bytes, Ordering::Relaxed);
        self.cached_bytes.fetch_add(step.cached_bytes, Ordering::Relaxed);
        self.damaged.fetch_add(step.problems.len() as u64, Ordering::Relaxed);
    }

    fn note_pass(&self, took: Duration) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut passes = self.passes.lock();
        passes.ended += 1;
        passes.last = Some((now.as_millis() as u64, took.as_secs_f64()));
    }
}

pub(crate) fn stats(state: &State) -> ScrubStats {
    let Scrubbed { bytes, cached_bytes, damaged, passes } = &state.scrubbed;
    let Passes { ended, last } = *passes.lock();
    ScrubStats {
        bytes_per_s: bytes_per_s(state),
        bytes: bytes.load(Ordering::Relaxed),
        cached_bytes: cached_bytes.load(Ordering::Relaxed),
        damaged: damaged.load(Ordering::Relaxed),
        passes: ended,
        last_pass_unix_ms: last.map(|(when, _)| when),
        last_pass_seconds: last.map(|(_, seconds)| seconds),
    }
}

/// The pace; 0 for a database in memory, which has no disk to lose anything.
pub(crate) fn bytes_per_s(state: &State) -> u64 {
    if state.path.is_some() { state.options.scrub_bytes_per_s } else { 0 }
}

/// Passes over all segments until the database closes.
pub(crate) fn serve(state: &State, bytes_per_s: u64) {
    let pace = |bytes: u64| Duration::from_secs_f64(bytes as f64 / bytes_per_s as f64);
    loop {
        let began = Instant::now();
        if pass(state, &pace).is_break() {
            return;
        }
        state.scrubbed.note_pass(began.elapsed());
        if rest(state, PASS_EVERY.saturating_sub(began.elapsed())).is_break() {
            return;
        }
    }
}

fn pass(state: &State, pace: &dyn Fn(u64) -> Duration) -> ControlFlow<()> {
    rest(state, pace(PIECE_BYTES))?;
    state.probe.reached(BEGINS);
    for collection in state.all_collections() {
        let version = collection.version();
        let files: Vec<Weak<SegmentFile>> =
            version.segments.iter().map(|part| Arc::downgrade(&part.file)).collect();
        drop(version);
        for file in files {
            scrub(state, &collection, &file, pace)?;
        }
    }
    ControlFlow::Continue(())
}

/// One segment, as long as somebody else has it.
fn scrub(
    state: &State,
    collection: &CollectionState,
    file: &Weak<SegmentFile>,
    pace: &dyn Fn(u64) -> Duration,
) -> ControlFlow<()> {
    let (mut at, mut damaged) = (0, false);
    loop {
        let Some(held) = file.upgrade() else { return ControlFlow::Continue(()) };
        let step = match held.segment.scrub(&*state.vfs, at) {
            Ok(step) => step,
            Err(error) => {
                *collection.trouble.lock() = Some(format!("scrub: {error}"));
                return ControlFlow::Continue(());
            }
        };
        state.scrubbed.note_step(&step);
        damaged |= !step.problems.is_empty();
        if step.next.is_none() && damaged && !held.segment.has_lost_rows() {
            held.ask_for_rewrite();
            state.background.request();
        }
        drop(held);
        state.probe.reached(BETWEEN);
        rest(state, pace(step.bytes))?;
        match step.next {
            Some(next) => at = next,
            None => return ControlFlow::Continue(()),
        }
    }
}

/// Waits, unless the database closes.
fn rest(state: &State, time: Duration) -> ControlFlow<()> {
    let deadline = Instant::now().checked_add(time);
    let mut pending = state.background.pending.lock();
    loop {
        if state.closed.load(Ordering::Acquire) {
            return ControlFlow::Break(());
        }
        // Woken for other work, it goes on waiting.
        let timed_out = match deadline {
            Some(deadline) => state.background.work.wait_until(&mut pending, deadline).timed_out(),
            None => {
                state.background.work.wait(&mut pending);
                false
            }
        };
        if timed_out {
            return ControlFlow::Continue(());
        }
    }
}
