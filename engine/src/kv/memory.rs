//! The store of a database without a folder.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::{Batch, CompactError, Kv, Space, Visit};
use crate::Result;
use crate::memory::allocated;

/// Keyspace and key.
type Key = (&'static str, Vec<u8>);

/// Keys and values in memory; durable for as long as the process runs.
#[derive(Debug, Default)]
pub struct MemoryKv {
    keys: Mutex<BTreeMap<Key, Vec<u8>>>,
    /// Of keys and values, with what a map adds to each.
    bytes: AtomicU64,
}

/// What a pair takes in memory: of the places of a node two thirds are used.
fn held(key: &[u8], value: &[u8]) -> u64 {
    let place = size_of::<(Key, Vec<u8>)>() * 3 / 2;
    (place + allocated(key.len()) + allocated(value.len())) as u64
}

impl Kv for MemoryKv {
    fn commit(&self, batch: Batch, _durable: bool) -> Result<()> {
        let mut keys = self.keys.lock();
        for (space, key, value) in batch.changes {
            let key = (space.name(), key);
            let added = value.as_ref().map_or(0, |value| held(&key.1, value));
            let gone = keys.get(&key).map_or(0, |value| held(&key.1, value));
            match value {
                Some(value) => drop(keys.insert(key, value)),
                None => drop(keys.remove(&key)),
            }
            self.bytes.fetch_add(added, Ordering::Relaxed);
            self.bytes.fetch_sub(gone, Ordering::Relaxed);
        }
        Ok(())
    }

    fn scan(&self, space: Space, prefix: &[u8], visit: &mut Visit<'_>) -> Result<()> {
        let found: Vec<(Vec<u8>, Vec<u8>)> = self
            .keys
            .lock()
            .range((space.name(), prefix.to_vec())..)
            .take_while(|((name, key), _)| *name == space.name() && key.starts_with(prefix))
            .map(|((_, key), value)| (key.clone(), value.clone()))
            .collect();
        found.iter().try_for_each(|(key, value)| visit(key, value))
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn bytes(&self) -> Result<u64> {
        Ok(self.keys.lock().iter().map(|((_, k), v)| (k.len() + v.len()) as u64).sum())
    }

    fn memory_bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn prepare_compact(&self) -> Result<()> {
        Ok(())
    }

    fn compact(&self) -> std::result::Result<(), CompactError> {
        Ok(())
    }
}
