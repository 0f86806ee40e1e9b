//! A growing list that one thread writes and any number read, without a lock.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Elements of the first chunk; each further one has twice as many as the one before.
const FIRST_CHUNK: usize = 16;
/// Together they hold more than `u32::MAX` elements.
const CHUNKS: usize = 29;

/// Elements that are appended and then never move, change or go.
///
/// A reader that has seen a length may read every element below it for as long as it holds the
/// list.
#[derive(Debug)]
pub struct AppendOnly<T> {
    chunks: [OnceLock<Box<[OnceLock<T>]>>; CHUNKS],
    len: AtomicUsize,
}

impl<T> Default for AppendOnly<T> {
    fn default() -> Self {
        AppendOnly { chunks: [const { OnceLock::new() }; CHUNKS], len: AtomicUsize::new(0) }
    }
}

impl<T> AppendOnly<T> {
    /// Elements appended so far.
    #[must_use]
    pub fn len(&self) -> usize {
        // Pairs with the store in `push`: whoever sees the length sees the elements.
        self.len.load(Ordering::Acquire)
    }

    /// Whether nothing was appended yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the chunks that are there, what the elements point to apart.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let chunks = self.len().checked_sub(1).map_or(0, |last| place(last).0 + 1);
        FIRST_CHUNK * ((1 << chunks) - 1) * size_of::<OnceLock<T>>()
    }

    /// The element at a place, if it was appended.
    #[inline]
    #[must_use]
    pub fn get(&self, at: usize) -> Option<&T> {
        let (chunk, slot) = place(at);
        self.chunks.get(chunk)?.get()?.get(slot)?.get()
    }

    /// The first `len` elements, or all if there are fewer.
    pub fn iter_to(&self, len: usize) -> impl Iterator<Item = &T> {
        (self.chunks.iter())
            .map_while(OnceLock::get)
            .flat_map(|chunk| chunk.iter())
            .take(len)
            .map_while(OnceLock::get)
    }

    /// How many of the first elements satisfy `before`, which must hold for none after the first
    /// for which it does not.
    pub fn partition_point(&self, before: impl Fn(&T) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        // Mostly all do: who asks has just seen the last one appended.
        if high == 0 || self.get(high - 1).is_some_and(&before) {
            return high;
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if self.get(middle).is_some_and(&before) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Appends an element and gives its place. One thread at a time may append: of two that do so
    /// at once, one element can be lost.
    pub fn push(&self, element: T) -> usize {
        let at = self.len.load(Ordering::Relaxed);
        let (chunk, slot) = place(at);
        let slots = self.chunks[chunk].get_or_init(|| {
            std::iter::repeat_with(OnceLock::new).take(FIRST_CHUNK << chunk).collect()
        });
        let fresh = slots[slot].set(element).is_ok();
        debug_assert!(fresh, "one thread appends at a time");
        self.len.store(at + 1, Ordering::Release);
        at
    }
}

/// Chunk and slot of an element: chunk `c` begins at element `FIRST_CHUNK * (2^c - 1)`.
fn place(at: usize) -> (usize, usize) {
    let chunk = (at / FIRST_CHUNK + 1).ilog2() as usize;
    (chunk, at - FIRST_CHUNK * ((1 << chunk) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_placed_without_gaps() {
        let mut expected = (0, 0);
        for at in 0..FIRST_CHUNK * 40 {
            assert_eq!(place(at), expected, "element {at}");
            expected.1 += 1;
            if expected.1 == FIRST_CHUNK << expected.0 {
                expected = (expected.0 + 1, 0);
            }
        }
        assert!(place(u32::MAX as usize).0 < CHUNKS);
    }

    #[test]
    fn chunks_are_counted() {
        let list = AppendOnly::default();
        let slots = |list: &AppendOnly<u64>| list.heap_bytes() / size_of::<OnceLock<u64>>();
        assert_eq!(slots(&list), 0);
        for (appended, expected) in [(1, 16), (15, 16), (1, 48), (31, 48), (1, 112)] {
            (0..appended).for_each(|i| assert!(list.push(i) < 49));
            assert_eq!(slots(&list), expected, "{} elements", list.len());
        }
    }

    #[test]
    fn what_was_appended_is_found() {
        let list = AppendOnly::default();
        assert_eq!((list.get(0), list.partition_point(|_| true)), (None, 0));
        for i in 0..200 {
            assert_eq!(list.push(2 * i), i);
        }
        assert_eq!((list.len(), list.get(77), list.get(200)), (200, Some(&154), None));
        assert!(list.iter_to(50).copied().eq((0..50).map(|i| 2 * i)));
        for limit in 0..=400 {
            assert_eq!(list.partition_point(|&e| e < limit), limit.div_ceil(2), "{limit}");
        }
    }
}
