//! The bytes of a file as memory.

use std::sync::Arc;

use bytemuck::{Pod, Zeroable};

/// The bytes of a file, aligned to at least 64 bytes: a mapping or plain memory. A clone shares
/// them.
///
/// A mapped file that another process cuts short makes an access fail with `SIGBUS`; sealed files
/// are therefore read-only and only ever unlinked, which leaves the mapping intact.
#[derive(Clone, Debug)]
pub struct Region(Source);

#[derive(Clone, Debug)]
enum Source {
    Mapped(Arc<memmap2::Mmap>),
    Memory(Arc<AlignedBytes>),
}

impl Region {
    /// A mapping begins at a page, which is more than the 64 bytes promised.
    pub(super) fn mapped(map: memmap2::Mmap) -> Self {
        Region(Source::Mapped(Arc::new(map)))
    }

    pub(super) fn memory(bytes: Arc<AlignedBytes>) -> Self {
        Region(Source::Memory(bytes))
    }

    /// Has the system read what it does not keep of a file in large pages from now on, and map it with
    /// them. A hint: some systems have none, and plain memory is as it is.
    pub(crate) fn prefer_large_pages(&self) {
        #[cfg(target_os = "linux")]
        if let Source::Mapped(map) = &self.0 {
            // An older system that knows none refuses this.
            let _ = map.advise(memmap2::Advice::HugePage);
        }
    }
}

impl From<&[u8]> for Region {
    /// A copy of `bytes` in aligned memory.
    fn from(bytes: &[u8]) -> Self {
        let mut aligned = AlignedBytes::default();
        aligned.write_at(0, bytes);
        Region::memory(Arc::new(aligned))
    }
}

impl std::ops::Deref for Region {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Source::Mapped(map) => map,
            Source::Memory(bytes) => bytes.as_slice(),
        }
    }
}

/// One cache line; a vector of them is memory aligned to 64 bytes.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Growing bytes, aligned to 64.
#[derive(Clone, Debug, Default)]
pub(super) struct AlignedBytes {
    lines: Vec<Line>,
    len: usize,
}

impl AlignedBytes {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }

    /// Drops what is beyond `len`.
    pub(super) fn truncate(&mut self, len: usize) {
        if len < self.len {
            self.lines.truncate(len.div_ceil(64));
            self.len = len;
            // What a later write may uncover reads as zeros.
            let all: &mut [u8] = bytemuck::cast_slice_mut(&mut self.lines);
            all[len..].fill(0);
        }
    }

    /// Gives back what was kept to grow into.
    pub(super) fn shrink(&mut self) {
        self.lines.shrink_to_fit();
    }

    /// Writes `bytes` at `offset`, growing with zeros as needed.
    pub(super) fn write_at(&mut self, offset: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len();
        if end > self.len {
            self.lines.resize(end.div_ceil(64), Line::zeroed());
            self.len = end;
        }
        let all: &mut [u8] = bytemuck::cast_slice_mut(&mut self.lines);
        all[offset..end].copy_from_slice(bytes);
    }
}
