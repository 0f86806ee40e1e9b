//! The hash of a record's key: its namespace and id.

use super::xxh64::xxh64;

/// The seed for all ids of a namespace.
pub(crate) fn namespace_seed(namespace: &str) -> u64 {
    xxh64(namespace.as_bytes(), 0)
}

/// The hash of an id's bytes (as `RecordId::encode` gives them) in a namespace.
pub(crate) fn key_hash(namespace_seed: u64, id: &[u8]) -> u64 {
    xxh64(id, namespace_seed)
}
