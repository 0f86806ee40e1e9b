//! `LIKE` patterns.

/// A pattern taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    pieces: Vec<Piece>,
    /// Characters that a text has at least.
    chars_min: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    /// `%`
    AnyRun,
    /// `_`
    AnyChar,
    Char(char),
}

/// What a pattern amounts to, where a dictionary has a faster way than to try every string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// No wildcard: the string itself.
    Equal(String),
    /// One `%`, at the end.
    Prefix(String),
    /// Anything else.
    General,
}

impl Pattern {
    /// `\` makes the next character plain; a `\` at the end is itself.
    pub(super) fn new(pattern: &str) -> Self {
        let mut pieces = Vec::with_capacity(pattern.len());
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            pieces.push(match c {
                '%' => Piece::AnyRun,
                '_' => Piece::AnyChar,
                '\\' => Piece::Char(chars.next().unwrap_or('\\')),
                c => Piece::Char(c),
            });
        }
        // Several in a row are one, which no text has to step over one by one.
        pieces.dedup_by(|a, b| (*a, *b) == (Piece::AnyRun, Piece::AnyRun));
        let chars_min = pieces.iter().filter(|piece| **piece != Piece::AnyRun).count();
        Pattern { pieces, chars_min }
    }

    pub(super) fn shape(&self) -> Shape {
        let plain = |pieces: &[Piece]| -> Option<String> {
            let char_of = |piece: &Piece| match piece {
                Piece::Char(c) => Some(*c),
                _ => None,
            };
            pieces.iter().map(char_of).collect()
        };
        if let Some(text) = plain(&self.pieces) {
            return Shape::Equal(text);
        }
        match self.pieces.split_last() {
            Some((Piece::AnyRun, first)) => plain(first).map_or(Shape::General, Shape::Prefix),
            _ => Shape::General,
        }
    }

    /// Whether all of `text` follows the pattern.
    ///
    /// Only the last `%` is ever taken back: what an earlier one could still take, the last one can
    /// take as well. So the time is at most the product of the lengths, never exponential.
    pub(super) fn matches(&self, text: &str) -> bool {
        if text.len() < self.chars_min {
            return false;
        }
        let pieces = &self.pieces;
        let (mut at, mut rest) = (0, text.chars());
        let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
        loop {
            let mut next = rest.clone();
            let step = match (pieces.get(at), next.next()) {
                (Some(Piece::AnyRun), _) => {
                    at += 1;
                    retry = Some((at, rest.clone()));
                    continue;
                }
                (None, None) => return true,
                (Some(_), None) => return false,
                (Some(Piece::AnyChar), Some(_)) => true,
                (Some(Piece::Char(c)), Some(other)) => *c == other,
                (None, Some(_)) => false,
            };
            if step {
                at += 1;
                rest = next;
            } else {
                let Some((after, from)) = &mut retry else { return false };
                from.next();
                at = *after;
                rest = from.clone();
            }
        }
    }
}
