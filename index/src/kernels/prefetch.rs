//! Asking the processor for a row before it is read.

/// Lines asked for at most: of a longer row the hardware fetches the rest as it is read.
const LINES_MAX: usize = 16;
const LINE_BYTES: usize = 64;

/// Asks the processor to load `data` into its caches; a hint without effect on results.
///
/// What an implementation of [`Rows::prefetch`](crate::Rows::prefetch) calls with its row.
#[inline(always)]
pub fn prefetch<T>(data: &[T]) {
    let start = data.as_ptr().cast::<u8>();
    // From the beginning of its first line: a row that begins in the middle of one ends in one more.
    let within = start.addr() % LINE_BYTES;
    let start = start.wrapping_sub(within);
    let bytes = (within + size_of_val(data)).min(LINES_MAX * LINE_BYTES);
    let mut offset = 0;
    while offset < bytes {
        prefetch_line(start.wrapping_add(offset));
        offset += LINE_BYTES;
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn prefetch_line(address: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch reads nothing and cannot fault, whatever the address is; SSE, which it
    // belongs to, is part of x86-64.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
}

#[cfg(target_arch = "aarch64")]
#[inline(always)]
fn prefetch_line(address: *const u8) {
    // SAFETY: a prefetch reads nothing and cannot fault, whatever the address is.
    unsafe {
        std::arch::asm!(
            "prfm pldl1keep, [{address}]",
            address = in(reg) address,
            options(nostack, preserves_flags, readonly)
        );
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline(always)]
fn prefetch_line(_address: *const u8) {}
