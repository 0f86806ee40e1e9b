//! Rows of bits and the weights that are summed where they are set.

/// Bits that are looked at together, and their bytes.
pub(super) const WORD_BITS: usize = 64;
pub(super) const WORD_BYTES: usize = WORD_BITS / 8;

/// Largest weight, up or down.
pub(crate) const BIT_WEIGHT_MAX: i8 = 15;
/// Words whose weights fit 8 bits together.
pub(super) const NARROW_WORDS: usize = (i8::MAX / BIT_WEIGHT_MAX) as usize;

/// Four rows of bits as words, cut to those that all of them and the weights have, and the weights.
#[inline(always)]
pub(super) fn words_of_4<'a>(
    rows: [&'a [u8]; 4],
    weights: &'a [i8],
) -> ([&'a [[u8; WORD_BYTES]]; 4], &'a [[i8; WORD_BITS]]) {
    let rows = rows.map(|row| row.as_chunks::<WORD_BYTES>().0);
    let (weights, _) = weights.as_chunks::<WORD_BITS>();
    let len = rows.iter().fold(weights.len(), |len, row| len.min(row.len()));
    (rows.map(|row| &row[..len]), &weights[..len])
}
