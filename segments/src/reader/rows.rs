//! The large arrays as rows that are checked on first touch.

use std::ops::Range;

use bytemuck::Pod;
use vecstore_index::half::f16;
use vecstore_index::{Damaged, FlatRows, Rows, Stored, Vectors};

use super::checks::MappedSection;

/// Fixed-length rows in a mapped section.
#[derive(Clone, Copy, Debug)]
pub(super) struct CheckedRows<'a, T> {
    section: MappedSection<'a>,
    /// The rows of this view, back to back.
    data: &'a [T],
    /// Where `data` begins in the section.
    first_byte: usize,
    /// Elements of a row, at least 1.
    width: usize,
    rows: u32,
    /// The segment's row that is row 0 here.
    first_row: u32,
    array: &'static str,
    /// Every block of `data` is known to have been checked.
    checked: bool,
}

impl<'a, T: Pod> CheckedRows<'a, T> {
    /// `rows` of width `width` that begin `first_byte` bytes into the section; the segment's
    /// rows are `rows`, here they count from 0.
    ///
    /// A view that does not lie within the section has no data, and each of its rows is damaged.
    pub(super) fn new(
        section: MappedSection<'a>,
        array: &'static str,
        first_byte: usize,
        width: usize,
        rows: Range<u32>,
    ) -> Self {
        let len = rows.len().saturating_mul(width * size_of::<T>());
        let data = section
            .unchecked()
            .get(first_byte..first_byte.saturating_add(len))
            // Regions and sections are aligned to 64 bytes, and rows to their elements.
            .and_then(|bytes| bytemuck::try_cast_slice(bytes).ok())
            .unwrap_or_default();
        CheckedRows {
            section,
            data,
            first_byte,
            width,
            rows: rows.len() as u32,
            first_row: rows.start,
            array,
            checked: false,
        }
    }

    /// For a view from which many rows are read: if all of it was checked before, no row is asked
    /// about again. Costs one look at a bit a block.
    pub(super) fn for_many(mut self) -> Self {
        let bytes = size_of_val(self.data);
        self.checked = self.section.is_checked(self.first_byte..self.first_byte + bytes);
        self
    }

    #[inline(always)]
    pub(super) fn row(&self, row: u32) -> Result<&'a [T], Damaged> {
        // Where addresses have 32 bits, the product of a wild row could wrap around.
        if size_of::<usize>() < 8 && row >= self.rows {
            return Err(self.damaged(row));
        }
        let start = row as usize * self.width;
        let Some(data) = self.data.get(start..start + self.width) else {
            return Err(self.damaged(row));
        };
        if self.checked {
            return Ok(data);
        }
        let first_byte = self.first_byte + start * size_of::<T>();
        match self.section.check(first_byte..first_byte + self.width * size_of::<T>()) {
            Ok(()) => Ok(data),
            Err(_) => Err(self.damaged(row)),
        }
    }

    #[cold]
    #[inline(never)]
    fn damaged(&self, row: u32) -> Damaged {
        Damaged { array: self.array, row: self.first_row.saturating_add(row) }
    }

    #[inline(always)]
    fn flat(&self) -> FlatRows<'a, T> {
        FlatRows::new(self.array, self.data, self.width)
    }
}

macro_rules! rows_of_a_segment {
    ($(#[$doc:meta])* $name:ident, $element:ty) => {
        $(#[$doc])*
        ///
        /// Rows count from the first row of the range; a [`Damaged`] names the row of the segment.
        #[derive(Clone, Copy, Debug)]
        pub struct $name<'a>(pub(super) CheckedRows<'a, $element>);

        impl Rows<$element> for $name<'_> {
            fn rows(&self) -> u32 {
                self.0.rows
            }

            #[inline(always)]
            fn row(&self, row: u32) -> Result<&[$element], Damaged> {
                self.0.row(row)
            }

            #[inline(always)]
            fn prefetch(&self, row: u32) {
                Rows::prefetch(&self.0.flat(), row);
            }
        }
    };
}

rows_of_a_segment!(
    /// Codes of a contiguous range of rows, checked on first touch.
    CodeRows,
    u8
);
rows_of_a_segment!(
    /// Sketches of a contiguous range of rows, checked on first touch.
    SketchRows,
    u8
);
rows_of_a_segment!(
    /// Coarse codes of one graph, checked on first touch.
    CoarseRows,
    u8
);
rows_of_a_segment!(
    /// Links of one graph, checked on first touch.
    LinkRows,
    u32
);
rows_of_a_segment!(
    /// Blocks of clusters, checked on first touch; they are numbered from 0.
    BlockRows,
    u8
);
/// Full vectors of a contiguous range of rows, checked on first touch.
///
/// Rows count from the first row of the range; a [`Damaged`] names the row of the segment.
#[derive(Clone, Copy, Debug)]
pub struct VectorRows<'a>(pub(super) Checked<'a>);

/// [`VectorRows`] by their precision.
#[derive(Clone, Copy, Debug)]
pub(super) enum Checked<'a> {
    F32(CheckedRows<'a, f32>),
    F16(CheckedRows<'a, f16>),
}

impl<'a> VectorRows<'a> {
    #[inline(always)]
    pub(super) fn stored(&self, row: u32) -> Result<Stored<'a>, Damaged> {
        match &self.0 {
            Checked::F32(rows) => rows.row(row).map(Stored::F32),
            Checked::F16(rows) => rows.row(row).map(Stored::F16),
        }
    }
}

impl Vectors for VectorRows<'_> {
    fn rows(&self) -> u32 {
        match &self.0 {
            Checked::F32(rows) => rows.rows,
            Checked::F16(rows) => rows.rows,
        }
    }

    #[inline(always)]
    fn vector(&self, row: u32) -> Result<Stored<'_>, Damaged> {
        self.stored(row)
    }

    #[inline(always)]
    fn prefetch(&self, row: u32) {
        match &self.0 {
            Checked::F32(rows) => rows.flat().prefetch(row),
            Checked::F16(rows) => rows.flat().prefetch(row),
        }
    }
}
