//! Rows of bits and the weights that are summed where they are set.

/// Bits that are looked at together, and their bytes.
pub(super) const WORD_BITS: usize = 64;
pub(super) const WORD_BYTES: usize = WORD_BITS / 8;

/// Largest weight, up or down.
pub(crate) const BIT_WEIGHT_MAX: i8 = 15;
/// Words whose weights fit 8 bits together.
#[cfg(target_arch = "x86_64")]
pub(super) const NARROW_WORDS: usize = (i8::MAX / BIT_WEIGHT_MAX) as usize;

/// Four rows of bits as words, cut to those that all of them and the weights have, and the weights.
#[inline(always)]
pub(super) fn words_of_4<'a>(
    rows: [&'a [u8]; 4],
    weights: &'a [i8],
) -> ([&'a [[u8; WORD_BYTES]]; 4], &'a [[i8; WORD_BITS]]) {
    // No `map` of an array: it is compiled apart and called.
    let (weights, _) = weights.as_chunks::<WORD_BITS>();
    let mut words = [&[][..]; 4];
    let mut len = weights.len();
    for (words, row) in words.iter_mut().zip(rows) {
        (*words, _) = row.as_chunks::<WORD_BYTES>();
        len = len.min(words.len());
    }
    for words in &mut words {
        *words = &words[..len];
    }
    (words, &weights[..len])
}
