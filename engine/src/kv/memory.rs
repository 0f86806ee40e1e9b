//! The store of a database without a folder.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::{Batch, CompactError, Kv, Space, Visit};
use crate::Result;

/// Keyspace and key.
type Key = (&'static str, Vec<u8>);

/// Keys and values in memory; durable for as long as the process runs.
#[derive(Debug, Default)]
pub struct MemoryKv {
    keys: Mutex<BTreeMap<Key, Vec<u8>>>,
}

impl Kv for MemoryKv {
    fn commit(&self, batch: Batch, _durable: bool) -> Result<()> {
        let mut keys = self.keys.lock();
        for (space, key, value) in batch.changes {
            match value {
                Some(value) => drop(keys.insert((space.name(), key), value)),
                None => drop(keys.remove(&(space.name(), key))),
            }
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

    fn prepare_compact(&self) -> Result<()> {
        Ok(())
    }

    fn compact(&self) -> std::result::Result<(), CompactError> {
        Ok(())
    }
}
