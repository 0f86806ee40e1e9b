//! What an algorithm reads: fixed-length rows in one array, wherever the bytes live.

/// A stored row that failed its check when it was first read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{array}: row {row} is damaged")]
pub struct Damaged {
    /// Which array: `codes`, `links`, `vectors`.
    pub array: &'static str,
    /// The row that could not be read.
    pub row: u32,
}

/// Bytes that do not follow the format they claim to have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {problem}")]
pub struct FormatError {
    /// The structure that was being read.
    pub what: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

impl FormatError {
    /// An error about `what`.
    pub fn new(what: &'static str, problem: impl Into<String>) -> Self {
        FormatError { what, problem: problem.into() }
    }
}

/// Rows of equal length in one array.
///
/// `row(i)` with `i < rows()` gives the row or says that its bytes are damaged (a mapped file is
/// checked block by block on first touch); `i >= rows()` is [`Damaged`] too, so that a wild link
/// can be followed no further.
pub trait Rows<T>: Sync {
    /// Number of rows.
    fn rows(&self) -> u32;
    /// One row.
    fn row(&self, row: u32) -> Result<&[T], Damaged>;
    /// Asks the processor to load a row that will be read soon; a hint without effect on results.
    /// An implementation finds where the row lies and calls [`prefetch`](crate::prefetch).
    fn prefetch(&self, _row: u32) {}
}

/// [`Rows`] over a plain slice.
#[derive(Clone, Copy, Debug)]
pub struct FlatRows<'a, T> {
    data: &'a [T],
    width: usize,
    array: &'static str,
}

impl<'a, T> FlatRows<'a, T> {
    /// Rows of `width` elements, back to back in `data`; a last partial row does not count, and
    /// with a width of 0 there are none.
    #[must_use]
    pub fn new(array: &'static str, data: &'a [T], width: usize) -> Self {
        // No slice is that long, so that every row is past the end.
        let width = if width == 0 { usize::MAX } else { width };
        FlatRows { data, width, array }
    }

    #[inline(always)]
    fn get(&self, row: u32) -> Option<&'a [T]> {
        let start = (row as usize).checked_mul(self.width)?;
        self.data.get(start..start.checked_add(self.width)?)
    }
}

impl<T: Sync> Rows<T> for FlatRows<'_, T> {
    fn rows(&self) -> u32 {
        let rows = self.data.len() / self.width;
        u32::try_from(rows).unwrap_or(u32::MAX)
    }

    #[inline(always)]
    fn row(&self, row: u32) -> Result<&[T], Damaged> {
        self.get(row).ok_or(Damaged { array: self.array, row })
    }

    #[inline(always)]
    fn prefetch(&self, row: u32) {
        if let Some(data) = self.get(row) {
            crate::prefetch(data);
        }
    }
}
