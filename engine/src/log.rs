//! The write-ahead log: records and removals that are not in a segment yet, as frames in the
//! `hot` keyspace.
//!
//! Key: collection `u32`, epoch `u32`, number `u32`, all big-endian, so that a scan returns
//! frames in commit order. An epoch is the life of one memtable; sealing it into a segment makes
//! all its frames, and those before, meaningless at once.
//!
//! Frame, little-endian: version `u8` = 1, kind `u8`, crc32 `u32` over the key and all that
//! follows, seq `u64`, then namespace and id (each length `u16` and bytes), and for a record its
//! metadata (length `u32`, JSON text) and vector (count `u32`, `f32` components). The checksum
//! covers the key because the log store's own does not cover all of its fields.

use vecstore_segments::RecordId;

use crate::kv::{Batch, Kv, Space};
use crate::{Error, ErrorKind, Result};

const VERSION: u8 = 1;
const KIND_UPSERT: u8 = 1;
const KIND_REMOVE: u8 = 2;
const HEAD: usize = 6;

/// Where a frame stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) collection: u32,
    pub(crate) epoch: u32,
    pub(crate) number: u32,
}

impl Position {
    fn key(self) -> Vec<u8> {
        let mut key = Vec::with_capacity(12);
        key.extend_from_slice(&self.collection.to_be_bytes());
        key.extend_from_slice(&self.epoch.to_be_bytes());
        key.extend_from_slice(&self.number.to_be_bytes());
        key
    }

    pub(crate) fn from_key(key: &[u8]) -> Option<Self> {
        let part = |at: usize| Some(u32::from_be_bytes(key.get(at..at + 4)?.try_into().ok()?));
        let position = Position { collection: part(0)?, epoch: part(4)?, number: part(8)? };
        (key.len() == 12).then_some(position)
    }
}

/// One logged change.
#[derive(Debug, PartialEq)]
pub(crate) struct Frame {
    pub(crate) seq: u64,
    pub(crate) namespace: String,
    pub(crate) id: RecordId,
    pub(crate) change: Change,
}

/// What a frame does to its id.
#[derive(Debug, PartialEq)]
pub(crate) enum Change {
    Upsert { vector: Box<[f32]>, json: Box<[u8]> },
    Remove,
}

/// Adds a record to a batch.
pub(crate) fn append_upsert(
    batch: &mut Batch,
    at: Position,
    seq: u64,
    namespace: &str,
    id: &RecordId,
    vector: &[f32],
    json: &[u8],
) {
    append(batch, at, KIND_UPSERT, seq, namespace, id, |frame| {
        frame.reserve_exact(8 + json.len() + size_of_val(vector));
        frame.extend_from_slice(&(json.len() as u32).to_le_bytes());
        frame.extend_from_slice(json);
        frame.extend_from_slice(&(vector.len() as u32).to_le_bytes());
        frame.extend(vector.iter().flat_map(|x| x.to_le_bytes()));
    });
}

/// Adds a removal to a batch.
pub(crate) fn append_remove(
    batch: &mut Batch,
    at: Position,
    seq: u64,
    namespace: &str,
    id: &RecordId,
) {
    append(batch, at, KIND_REMOVE, seq, namespace, id, |_| {});
}

fn append(
    batch: &mut Batch,
    at: Position,
    kind: u8,
    seq: u64,
    namespace: &str,
    id: &RecordId,
    rest: impl FnOnce(&mut Vec<u8>),
) {
    let key = at.key();
    let mut id_bytes = Vec::with_capacity(17);
    id.encode(&mut id_bytes);
    let mut frame = Vec::with_capacity(HEAD + 12 + namespace.len() + id_bytes.len());
    frame.extend_from_slice(&[VERSION, kind, 0, 0, 0, 0]);
    frame.extend_from_slice(&seq.to_le_bytes());
    for bytes in [namespace.as_bytes(), &id_bytes] {
        frame.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
        frame.extend_from_slice(bytes);
    }
    rest(&mut frame);
    let crc = checksum(&key, &frame);
    frame[2..HEAD].copy_from_slice(&crc.to_le_bytes());
    batch.put(Space::Hot, key, frame);
}

fn checksum(key: &[u8], frame: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(key);
    crc.update(&frame[..2]);
    crc.update(&frame[HEAD..]);
    crc.finalize()
}

/// Reads the frames of a collection with an epoch above `flushed_epoch`, in commit order. No number
/// may be missing: a frame that is gone is told from one that never was.
pub(crate) fn replay(
    kv: &dyn Kv,
    collection: u32,
    flushed_epoch: u32,
    apply: &mut dyn FnMut(Position, Frame) -> Result<()>,
) -> Result<()> {
    let mut expected = Position { collection, epoch: flushed_epoch.saturating_add(1), number: 0 };
    kv.scan(Space::Hot, &collection.to_be_bytes(), &mut |key, value| {
        let damaged = || {
            Error::new(
                ErrorKind::Corrupt,
                format!("the log has a damaged record (key {key:02x?}); restore a snapshot"),
            )
        };
        let at = Position::from_key(key).ok_or_else(damaged)?;
        if at.epoch <= flushed_epoch {
            return Ok(());
        }
        let next_epoch = Position { epoch: expected.epoch + 1, number: 0, ..expected };
        let follows = at == expected || (at == next_epoch && expected.number > 0);
        if !follows {
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!("the log lacks records before {at:?}; restore a backup"),
            ));
        }
        let number = at.number.checked_add(1).ok_or_else(damaged)?;
        expected = Position { number, ..at };
        apply(at, decode(key, value).ok_or_else(damaged)?)
    })
}

/// The commit of a frame, whatever else is in it.
pub(crate) fn seq(frame: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(frame.get(HEAD..HEAD + 8)?.try_into().ok()?))
}

fn decode(key: &[u8], frame: &[u8]) -> Option<Frame> {
    let crc = u32::from_le_bytes(frame.get(2..HEAD)?.try_into().ok()?);
    if frame[0] != VERSION || checksum(key, frame) != crc {
        return None;
    }
    let mut rest = &frame[HEAD..];
    let seq = u64::from_le_bytes(take(&mut rest, 8)?.try_into().ok()?);
    let namespace = std::str::from_utf8(take_u16(&mut rest)?).ok()?.to_owned();
    let id = RecordId::decode(take_u16(&mut rest)?)?;
    let change = match frame[1] {
        KIND_REMOVE => Change::Remove,
        KIND_UPSERT => {
            let bytes = take_u32(&mut rest)?;
            let json = take(&mut rest, bytes)?.into();
            let components = take_u32(&mut rest)?;
            let vector = take(&mut rest, components.checked_mul(4)?)?
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect();
            Change::Upsert { vector, json }
        }
        _ => return None,
    };
    rest.is_empty().then_some(Frame { seq, namespace, id, change })
}

fn take<'a>(bytes: &mut &'a [u8], n: usize) -> Option<&'a [u8]> {
    let (head, tail) = bytes.split_at_checked(n)?;
    *bytes = tail;
    Some(head)
}

fn take_u16<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let n = u16::from_le_bytes(take(bytes, 2)?.try_into().ok()?);
    take(bytes, usize::from(n))
}

fn take_u32(bytes: &mut &[u8]) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(take(bytes, 4)?.try_into().ok()?)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::MemoryKv;

    const AT: Position = Position { collection: 7, epoch: 3, number: 0 };

    #[test]
    fn frames_come_back_in_commit_order_and_without_flushed_epochs() {
        let kv = MemoryKv::default();
        let mut batch = Batch::default();
        let id = RecordId::from("a");
        append_upsert(&mut batch, Position { epoch: 2, ..AT }, 1, "", &id, &[1.0], b"{}");
        append_remove(&mut batch, Position { number: 1, ..AT }, 3, "ns", &id);
        append_upsert(&mut batch, AT, 2, "ns", &id, &[1.5, -2.0], b"{\"a\":1}");
        append_upsert(&mut batch, Position { collection: 8, ..AT }, 4, "", &id, &[0.0], b"{}");
        kv.commit(batch, true).unwrap();

        let mut seen = Vec::new();
        replay(&kv, 7, 2, &mut |at, frame| {
            seen.push((at, frame));
            Ok(())
        })
        .unwrap();

        let upsert = Change::Upsert { vector: [1.5, -2.0].into(), json: (*b"{\"a\":1}").into() };
        let frame = |seq, change| Frame { seq, namespace: "ns".into(), id: id.clone(), change };
        assert_eq!(
            seen,
            [(AT, frame(2, upsert)), (Position { number: 1, ..AT }, frame(3, Change::Remove)),]
        );
    }

    #[test]
    fn a_frame_that_is_missing_is_found() {
        let check = |frames: &[(u32, u32)], fine: bool| {
            let kv = MemoryKv::default();
            let mut batch = Batch::default();
            for &(epoch, number) in frames {
                append_remove(&mut batch, Position { epoch, number, ..AT }, 1, "", &"a".into());
            }
            kv.commit(batch, true).unwrap();
            let read = replay(&kv, 7, 2, &mut |_, _| Ok(()));
            assert_eq!(read.is_ok(), fine, "{frames:?}");
        };
        check(&[(3, 0), (3, 1), (4, 0), (5, 0)], true);
        check(&[(1, 5), (2, 7), (3, 0)], true);
        check(&[(3, 1)], false);
        check(&[(4, 0)], false);
        check(&[(3, 0), (3, 2)], false);
        check(&[(3, 0), (4, 1)], false);
        check(&[(3, 0), (5, 0)], false);
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let mut batch = Batch::default();
        append_upsert(&mut batch, AT, 2, "ns", &RecordId::from(9), &[1.5], b"{}");
        let kv = MemoryKv::default();
        kv.commit(batch, true).unwrap();
        let mut stored = Vec::new();
        kv.scan(Space::Hot, &[], &mut |key, value| {
            stored.push((key.to_vec(), value.to_vec()));
            Ok(())
        })
        .unwrap();
        let (key, frame) = &stored[0];
        for bit in 0..frame.len() * 8 {
            let mut flipped = frame.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(key, &flipped), None, "bit {bit}");
        }
        assert!(decode(key, frame).is_some());
        let mut other_key = key.clone();
        other_key[11] ^= 1;
        assert_eq!(decode(&other_key, frame), None);
    }
}
