//! A journal of fjall, read without fjall: which batches are whole, and what follows them.
//!
//! fjall takes the first bad byte of a journal for its end and cuts the file there, so a flipped
//! length in the middle would silently take every later batch with it. This walk tells the two
//! apart before fjall looks.
//!
//! Format of fjall 3.1 (`src/journal/entry.rs` there), little-endian. A batch is
//! `1`, count `u32`, seqno `u64`; then `count` entries, each either
//! `2`, value type `u8`, compression `u8`, keyspace `u64`, key length `u16`, value length `u32`,
//! stored length `u32`, key, stored value, or `4`, keyspace `u64`; then
//! `3`, xxh3-64 of the entries, `"FJL\x03"`. Count and seqno are outside the checksum. A new
//! journal is 64 MiB of zeros, and what was not written yet is zeros.

use std::io;

use xxhash_rust::xxh3::xxh3_64;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
const MAGIC: &[u8; 4] = b"FJL\x03";
/// What a disk writes as a whole, or not at all.
const SECTOR: usize = 512;
/// Batches draw their numbers from one counter that little else uses; a larger step is damage.
const SEQNO_STEP_MAX: u64 = 1 << 32;
/// fjall keeps the highest bit for itself; nobody gets near.
const SEQNO_MAX: u64 = 1 << 60;
/// The key of the commit number, `catalogue::put_seq`; no other keyspace has keys of its length.
const COMMIT_KEY: &[u8] = b"seq";

/// What is read at a time.
const PIECE_BYTES: usize = 1 << 20;

/// What a journal holds.
#[derive(Debug, PartialEq)]
pub(super) struct Walk {
    /// Whole batches before `end`.
    pub(super) batches: u64,
    /// Where the last of them ends.
    pub(super) end: u64,
    /// Number of the last of them, or the one the walk started after.
    pub(super) seqno: Option<u64>,
    /// The last commit number that these batches store.
    pub(super) commit: Option<u64>,
    /// What follows.
    pub(super) rest: Rest,
}

/// What follows the whole batches of a journal.
#[derive(Debug, PartialEq)]
pub(super) enum Rest {
    /// Nothing.
    Nothing,
    /// A batch that was not written to its end: so many bytes of it are there.
    Torn { bytes: usize },
    /// Damage to something that had been written: what is wrong, and the whole batches behind it.
    Damaged { why: &'static str, batches_after: u64 },
}

struct Batch {
    end: usize,
    seqno: u64,
    commit: Option<u64>,
}

/// Reads a journal, a piece at a time. `read` fills a buffer from an offset; the last of the
/// `data_len` bytes is the last of the file that is not zero; `file_len` is where the file ends.
/// `after` is the number of the last batch before this journal.
///
/// Held in memory: [`PIECE_BYTES`] or one batch, whichever is more, and of a journal that is not
/// whole everything from the flaw on.
pub(super) fn walk(
    read: &mut dyn FnMut(u64, &mut [u8]) -> io::Result<()>,
    data_len: u64,
    file_len: u64,
    after: Option<u64>,
) -> io::Result<Walk> {
    let mut walk = Walk { batches: 0, end: 0, seqno: after, commit: None, rest: Rest::Nothing };
    let mut bytes: Vec<u8> = Vec::new();
    // Where `bytes` begins in the file: at a sector, as it matters which sectors are missing.
    let mut start = 0;
    while walk.end < data_len {
        let at = (walk.end - start) as usize;
        let why = match read_batch(&bytes, at, walk.seqno) {
            Ok(batch) => {
                walk.batches += 1;
                walk.end = start + batch.end as u64;
                walk.seqno = Some(batch.seqno);
                walk.commit = batch.commit.or(walk.commit);
                continue;
            }
            Err(why) => why,
        };
        let loaded = start + bytes.len() as u64;
        if loaded == data_len {
            walk.rest = classify(&bytes, file_len - start, at, why);
            break;
        }
        // Perhaps only the end of the batch is missing here.
        let done = (at / SECTOR * SECTOR).min(bytes.len());
        bytes.drain(..done);
        start += done as u64;
        let held = bytes.len();
        let more = (held.max(PIECE_BYTES) as u64).min(data_len - loaded);
        bytes.resize(held + more as usize, 0);
        read(loaded, &mut bytes[held..])?;
    }
    Ok(walk)
}

/// One batch of which nothing is missing.
fn read_batch(bytes: &[u8], at: usize, after: Option<u64>) -> Result<Batch, &'static str> {
    const SHORT: &str = "a batch is not complete";
    let mut rest = bytes.get(at..).ok_or(SHORT)?;
    if take::<1>(&mut rest).ok_or(SHORT)? != [START] {
        return Err("what follows is not the start of a batch");
    }
    let count = take(&mut rest).map(u32::from_le_bytes).ok_or(SHORT)?;
    let seqno = take(&mut rest).map(u64::from_le_bytes).ok_or(SHORT)?;
    if count == 0 {
        return Err("a batch has no entries");
    }
    let entries = rest;
    let mut commit = None;
    for _ in 0..count {
        match take(&mut rest).ok_or(SHORT)? {
            [ITEM] => {
                let [_type, _compression] = take(&mut rest).ok_or(SHORT)?;
                let _keyspace: [u8; 8] = take(&mut rest).ok_or(SHORT)?;
                let key = take(&mut rest).map(u16::from_le_bytes).ok_or(SHORT)?;
                let _value_len: [u8; 4] = take(&mut rest).ok_or(SHORT)?;
                let stored = take(&mut rest).map(u32::from_le_bytes).ok_or(SHORT)?;
                let (key, tail) = rest.split_at_checked(usize::from(key)).ok_or(SHORT)?;
                let (stored, tail) = tail.split_at_checked(stored as usize).ok_or(SHORT)?;
                rest = tail;
                if key == COMMIT_KEY
                    && let Ok(seq) = stored.try_into()
                {
                    commit = Some(u64::from_le_bytes(seq));
                }
            }
            [CLEAR] => drop(take::<8>(&mut rest).ok_or(SHORT)?),
            [END] => return Err("a batch has fewer entries than it says"),
            _ => return Err("an entry is of no known kind"),
        }
    }
    let entries = &entries[..entries.len() - rest.len()];
    match take(&mut rest).ok_or(SHORT)? {
        [END] => {}
        [ITEM | CLEAR] => return Err("a batch has more entries than it says"),
        _ => return Err("an entry is of no known kind"),
    }
    let checksum = take(&mut rest).map(u64::from_le_bytes).ok_or(SHORT)?;
    if take(&mut rest).ok_or(SHORT)? != *MAGIC {
        return Err("the end of a batch is not marked");
    }
    if checksum != xxh3_64(entries) {
        return Err("a batch does not match its checksum");
    }
    let in_order = match after {
        Some(after) => seqno > after && seqno - after <= SEQNO_STEP_MAX,
        None => seqno <= SEQNO_MAX,
    };
    if !in_order {
        return Err("a batch has a number that cannot follow the one before");
    }
    Ok(Batch { end: bytes.len() - rest.len(), seqno, commit })
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = bytes.split_first_chunk::<N>()?;
    *bytes = tail;
    Some(*head)
}

/// Whether the bytes from `at` on are a batch that was being written when the power went, or
/// damage.
///
/// Every batch is synced before the next one is begun, so at most the last one can be unfinished,
/// and it was not acknowledged. It misses its end, or, as a disk writes sectors in any order, some
/// whole sector. A batch that has both was finished.
fn classify(bytes: &[u8], file_len: u64, at: usize, why: &'static str) -> Rest {
    let batches_after = count_batches(bytes, at + 1);
    if batches_after > 0 || (is_finished(bytes, at, file_len) && !misses_a_sector(bytes, at)) {
        return Rest::Damaged { why, batches_after };
    }
    Rest::Torn { bytes: bytes.len() - at }
}

/// Whole batches from `at` on, wherever they begin and whatever their numbers.
fn count_batches(bytes: &[u8], mut at: usize) -> u64 {
    let mut batches = 0;
    while at < bytes.len() {
        match read_batch(bytes, at, None) {
            Ok(batch) => {
                batches += 1;
                at = batch.end;
            }
            Err(_) => at += 1,
        }
    }
    batches
}

/// Whether the bytes end as a batch does. One byte of that may be damaged.
fn is_finished(bytes: &[u8], at: usize, file_len: u64) -> bool {
    let tail = &bytes[at..];
    let ends_like = |tail: &[u8]| {
        let same = tail.iter().zip(MAGIC).filter(|(a, b)| a == b).count();
        same >= MAGIC.len() - 1
    };
    let whole = tail.last_chunk::<4>().is_some_and(|end| ends_like(end));
    // The last byte zeroed. Where a sector or the file ends, it may be missing instead.
    let torn_here = bytes.len().is_multiple_of(SECTOR) || bytes.len() as u64 == file_len;
    let last_zeroed = tail.ends_with(&MAGIC[..3]) && !torn_here;
    whole || last_zeroed
}

/// Whether a whole sector from `at` on is zeros.
fn misses_a_sector(bytes: &[u8], at: usize) -> bool {
    let first = at.next_multiple_of(SECTOR).min(bytes.len());
    let zeros = |sector: &[u8]| sector.iter().all(|&byte| byte == 0);
    (first > at && zeros(&bytes[at..first])) || bytes[first..].chunks_exact(SECTOR).any(zeros)
}
