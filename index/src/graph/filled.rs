//! A list that is filled without branches.

use std::ops::Deref;

/// A list that is written to beyond its end: whether an item stays is known after it was put there, so the end
/// moves or does not.
///
/// Memory stays written from one use to the next, and is not cleared for each.
#[derive(Debug, Default)]
pub(super) struct Filled<T> {
    items: Vec<T>,
    len: usize,
}

impl<T: Copy + Default> Filled<T> {
    /// Makes room for `count` items behind the end, and gives all there is room for.
    #[inline(always)]
    pub(super) fn with_room_for(&mut self, count: usize) -> &mut [T] {
        let len = self.len + count;
        if self.items.len() < len {
            self.items.resize(len, T::default());
        }
        &mut self.items[..len]
    }

    /// Lets the list end after the first `len` items that were put into it.
    #[inline(always)]
    pub(super) fn end_at(&mut self, len: usize) {
        debug_assert!(len <= self.items.len());
        self.len = len;
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    #[inline(always)]
    pub(super) fn push(&mut self, item: T) {
        let len = self.len;
        self.with_room_for(1)[len] = item;
        self.len = len + 1;
    }
}

impl<T> Deref for Filled<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        &self.items[..self.len]
    }
}
