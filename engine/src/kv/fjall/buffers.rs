//! What fjall holds in memory of what was written.
//!
//! Its own count ends when a buffer has become a table, but the buffer stays until the next one of any
//! keyspace is put in its place. So each buffer is remembered here, by a weak hold, for as long as it
//! is there.

use fjall::{AbstractTree, Keyspace};
use parking_lot::Mutex;

/// The buffers of one store.
#[derive(Default)]
pub(super) struct Buffers(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    /// The one of each keyspace that is written to.
    newest: [Option<u64>; 4],
    /// Those that were there when they were looked for last.
    all: Vec<Bytes>,
}

/// The bytes of a buffer, `None` once it is gone.
type Bytes = Box<dyn Fn() -> Option<u64> + Send + Sync>;

impl Buffers {
    /// Remembers the buffers that are written to now. None is missed if this is called after each
    /// commit.
    pub(super) fn look(&self, spaces: &[Keyspace; 4]) {
        let mut seen = self.0.lock();
        let Seen { newest, all } = &mut *seen;
        for (newest, space) in newest.iter_mut().zip(spaces) {
            let buffer = space.tree.active_memtable();
            if newest.replace(buffer.id()) != Some(buffer.id()) {
                let buffer = std::sync::Arc::downgrade(&buffer);
                all.retain(|bytes| bytes().is_some());
                all.push(Box::new(move || {
                    // Beside what fjall counts, each entry has links, and bytes before key and value.
                    const ENTRY: u64 = 64;
                    buffer.upgrade().map(|buffer| buffer.size() + ENTRY * buffer.len() as u64)
                }));
            }
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.0.lock().all.iter().filter_map(|bytes| bytes()).sum()
    }
}
