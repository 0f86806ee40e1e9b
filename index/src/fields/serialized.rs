//! Serialised bitmaps, read where they lie.
//!
//! To make a bitmap of its bytes only to add its rows to others takes longer than the rest of a
//! range over many buckets: it is checked, allocated for, and read again.

use roaring::RoaringBitmap;

use super::layout::{Reader, damaged, slice};
use crate::FormatError;

/// Cookies of the portable format, without and with runs, and how many containers a bitmap with runs
/// has at least for their offsets to be listed.
const COOKIE: u32 = 12_346;
const COOKIE_RUNS: u16 = 12_347;
const OFFSETS_FROM: usize = 4;

/// Rows of an array; more are written as bits.
const ARRAY_ROWS_MAX: usize = 4_096;
const BITS_LEN: usize = 8_192;

/// The rows of one block of 65,536, without their upper halves.
pub(crate) enum Container<'a> {
    /// Row by row.
    Array(&'a [[u8; 2]]),
    /// A bit a row, in words.
    Bits(&'a [[u8; 8]]),
    /// First row, and how many follow it.
    Runs(&'a [[u8; 4]]),
}

impl Container<'_> {
    /// Appends the rows of block `key` in their order.
    pub(super) fn append_to(&self, key: u16, rows: &mut Vec<u32>) {
        let first = u32::from(key) << 16;
        match self {
            Container::Array(lower) => {
                rows.extend(lower.iter().map(|row| first | u32::from(u16::from_le_bytes(*row))));
            }
            Container::Bits(words) => {
                for (first, bits) in (first..).step_by(64).zip(*words) {
                    let mut bits = u64::from_le_bytes(*bits);
                    while bits != 0 {
                        rows.push(first + bits.trailing_zeros());
                        bits &= bits - 1;
                    }
                }
            }
            Container::Runs(runs) => {
                for &[a, b, c, d] in *runs {
                    let (start, more) = (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
                    let last = first | u32::from(start.saturating_add(more));
                    rows.extend(first | u32::from(start)..=last);
                }
            }
        }
    }
}

/// Calls `found` with the upper half and the container of each block. What is said of the rows is
/// not checked: they may come in any order, and twice.
pub(crate) fn visit_containers(
    bytes: &[u8],
    what: &str,
    found: &mut dyn FnMut(u16, Container<'_>),
) -> Result<(), FormatError> {
    if bytes.is_empty() {
        return Ok(());
    }
    let mut rest = Rest { bytes, at: 0, what };
    let cookie = rest.reader(4)?.u32()?;
    let (count, run_flags) = if cookie == COOKIE {
        (rest.reader(4)?.u32()? as usize, &[][..])
    } else if cookie as u16 == COOKIE_RUNS {
        let count = (cookie >> 16) as usize + 1;
        (count, rest.next(count.div_ceil(8))?)
    } else {
        return Err(damaged(format!("{what}: unknown cookie {cookie}")));
    };
    if count > 1 << 16 {
        return Err(damaged(format!("{what}: {count} containers")));
    }
    let mut heads = rest.reader(4 * count)?;
    if run_flags.is_empty() || count >= OFFSETS_FROM {
        rest.next(4 * count)?;
    }
    for at in 0..count {
        let (key, rows) = (heads.u16()?, usize::from(heads.u16()?) + 1);
        let is_runs = run_flags.get(at / 8).is_some_and(|flags| flags >> (at % 8) & 1 == 1);
        found(
            key,
            if is_runs {
                let runs = usize::from(rest.reader(2)?.u16()?);
                Container::Runs(rest.next(4 * runs)?.as_chunks().0)
            } else if rows <= ARRAY_ROWS_MAX {
                Container::Array(rest.next(2 * rows)?.as_chunks().0)
            } else {
                Container::Bits(rest.next(BITS_LEN)?.as_chunks().0)
            },
        );
    }
    match bytes.len() - rest.at {
        0 => Ok(()),
        more => Err(damaged(format!("{what}: {more} bytes too many"))),
    }
}

struct Rest<'a> {
    bytes: &'a [u8],
    at: usize,
    what: &'a str,
}

impl<'a> Rest<'a> {
    fn next(&mut self, len: usize) -> Result<&'a [u8], FormatError> {
        let part = slice(self.bytes, self.at as u64, len as u64, self.what)?;
        self.at += len;
        Ok(part)
    }

    fn reader(&mut self, len: usize) -> Result<Reader<'a>, FormatError> {
        self.next(len).map(Reader)
    }
}

/// Reads all of `bytes` as one bitmap.
pub(super) fn read_bitmap(mut bytes: &[u8], what: &str) -> Result<RoaringBitmap, FormatError> {
    if bytes.is_empty() {
        return Ok(RoaringBitmap::new());
    }
    let rows = RoaringBitmap::deserialize_from(&mut bytes)
        .map_err(|error| damaged(format!("{what}: {error}")))?;
    if bytes.is_empty() {
        Ok(rows)
    } else {
        Err(damaged(format!("{what}: {} bytes too many", bytes.len())))
    }
}

/// Appends `rows` and returns the number of bytes.
pub(super) fn write_bitmap(out: &mut Vec<u8>, mut rows: RoaringBitmap) -> u64 {
    if rows.is_empty() {
        return 0;
    }
    rows.optimize();
    let start = out.len();
    rows.serialize_into(&mut *out).expect("writing to memory does not fail");
    (out.len() - start) as u64
}
