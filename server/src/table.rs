//! A table with aligned columns that never exceeds the width it is given.

use std::borrow::Cow;

use console::{measure_text_width, truncate_str};

const ELLIPSIS: char = '…';
const GAP: usize = 2;
/// No column but the last is wider, so that one long value cannot push out the others.
const CELL_WIDTH_MAX: usize = 40;
/// The last column keeps at least this much of the line for its text.
const LAST_WIDTH_MIN: usize = 24;
/// A column cut below this is left out instead.
const CUT_WIDTH_MIN: usize = 10;

/// A column's place in the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Rows of text below a header.
#[derive(Debug)]
pub(crate) struct Table {
    header: Vec<String>,
    align: Vec<Align>,
    rows: Vec<Vec<String>>,
    required: usize,
}

/// A table as lines of text.
#[derive(Debug)]
pub(crate) struct Rendered {
    pub(crate) lines: Vec<String>,
    /// Columns for which there was no room.
    pub(crate) left_out: Vec<String>,
}

impl Table {
    /// A table without rows. The first `required` columns are always shown. Of the others, those
    /// are left out for which there is no room, numbers (aligned right) before texts.
    pub(crate) fn new(columns: &[(&str, Align)], required: usize) -> Self {
        Table {
            header: columns.iter().map(|(name, _)| printable(name)).collect(),
            align: columns.iter().map(|&(_, align)| align).collect(),
            rows: Vec::new(),
            required,
        }
    }

    /// Adds a row with one cell a column.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut cells: Vec<String> = cells.into_iter().map(|c| printable(&c)).collect();
        cells.resize(self.header.len(), String::new());
        self.rows.push(cells);
    }

    /// The table in lines of at most `width` columns, as far as the required ones allow.
    pub(crate) fn render(&self, width: usize) -> Rendered {
        let widths = self.layout(width);
        let mut lines = Vec::with_capacity(self.rows.len() + 1);
        for cells in std::iter::once(&self.header).chain(&self.rows) {
            let mut line = String::new();
            for (at, cell) in cells.iter().enumerate() {
                let Some(width) = widths[at] else { continue };
                let cell = cut(cell, width);
                let blanks = " ".repeat(width - measure_text_width(&cell).min(width));
                if !line.is_empty() {
                    line.push_str(&" ".repeat(GAP));
                }
                match self.align[at] {
                    Align::Left => line.extend([&*cell, &*blanks]),
                    Align::Right => line.extend([&*blanks, &*cell]),
                }
            }
            line.truncate(line.trim_end().len());
            lines.push(line);
        }
        let left_out = self
            .header
            .iter()
            .zip(&widths)
            .filter(|(_, width)| width.is_none())
            .map(|(name, _)| name.clone())
            .collect();
        Rendered { lines, left_out }
    }

    /// The width of each column, `None` where it is left out.
    fn layout(&self, width: usize) -> Vec<Option<usize>> {
        let columns = self.header.len();
        let natural: Vec<usize> = (0..columns)
            .map(|at| {
                let cells = self.rows.iter().map(|row| &row[at]).chain([&self.header[at]]);
                cells.map(|cell| measure_text_width(cell)).max().unwrap_or(0)
            })
            .collect();
        let mut widths = vec![None; columns];
        let Some(last) = columns.checked_sub(1) else { return widths };
        let mut left = width;
        for at in 0..self.required.min(columns) {
            let widest = if at == last { left.max(1) } else { CELL_WIDTH_MAX };
            let taken = natural[at].min(widest);
            widths[at] = Some(taken);
            left = left.saturating_sub(taken + GAP);
        }
        if last < self.required {
            return widths;
        }
        // Each column takes its gap with it, and the text of the last one is kept free.
        let reserved = natural[last].min(LAST_WIDTH_MIN) + GAP;
        let texts_first = [Align::Left, Align::Right];
        let others = texts_first
            .iter()
            .flat_map(|align| (self.required..last).filter(move |&at| self.align[at] == *align));
        for at in others {
            let room = left.saturating_sub(reserved);
            let wanted = natural[at].min(CELL_WIDTH_MAX);
            if wanted <= room || room >= CUT_WIDTH_MIN {
                let taken = wanted.min(room);
                widths[at] = Some(taken);
                left = left.saturating_sub(taken + GAP);
            }
        }
        if natural[last] <= left || left >= CUT_WIDTH_MIN {
            widths[last] = Some(natural[last].min(left));
        }
        widths
    }
}

/// Text of at most `width` columns; where it is longer, an ellipsis stands for its end.
pub(crate) fn cut(text: &str, width: usize) -> Cow<'_, str> {
    let cut = truncate_str(text, width, ELLIPSIS.encode_utf8(&mut [0; 4]));
    if measure_text_width(&cut) <= width {
        return cut;
    }
    // `truncate_str` adds up characters, but some are wider together: "*" and U+FE0F, which asks
    // for an emoji, are one column and none, and two as a sequence.
    let mut kept = cut.into_owned();
    while measure_text_width(&kept) > width {
        kept.pop();
        if kept.pop().is_none() {
            break;
        }
        kept.push(ELLIPSIS);
    }
    Cow::Owned(kept)
}

/// Text without control characters: a stored string must not move the cursor of whoever reads it.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(columns: &[(&str, Align)], required: usize, rows: &[&[&str]]) -> Table {
        let mut table = Table::new(columns, required);
        for row in rows {
            table.row(row.iter().map(|&c| c.to_owned()));
        }
        table
    }

    #[test]
    fn columns_are_aligned() {
        let t = table(
            &[("id", Align::Right), ("name", Align::Left)],
            1,
            &[&["1", "short"], &["1000", "a\tlonger\nname"]],
        );
        assert_eq!(t.render(80).lines, ["  id  name", "   1  short", "1000  a longer name"]);
    }

    #[test]
    fn wide_characters_count_double() {
        let t =
            table(&[("a", Align::Left), ("b", Align::Left)], 1, &[&["日本", "x"], &["ab", "y"]]);
        assert_eq!(t.render(80).lines, ["a     b", "日本  x", "ab    y"]);
    }

    #[test]
    fn sequences_wider_than_their_characters_are_cut() {
        let emoji = "*\u{fe0f}0\u{fe0f}#\u{fe0f}";
        assert_eq!(measure_text_width(emoji), 6);
        assert_eq!(cut(emoji, 6), emoji);
        assert_eq!(cut(emoji, 5), "*\u{fe0f}0\u{fe0f}…");
        assert_eq!(cut(emoji, 4), "*\u{fe0f}0…");
        assert_eq!(cut(emoji, 3), "*\u{fe0f}…");
        assert_eq!(cut(emoji, 1), "…");
        assert_eq!(cut(emoji, 0), "");
    }

    #[test]
    fn long_text_is_cut_and_columns_without_room_are_named() {
        let long = "lorem ipsum dolor sit amet consectetur adipiscing elit";
        let t = table(
            &[
                ("id", Align::Right),
                ("pos", Align::Left),
                ("domain", Align::Left),
                ("gloss", Align::Left),
            ],
            1,
            &[&["7", "n", "noun.communication", long]],
        );
        let rendered = t.render(40);
        assert_eq!(rendered.lines[1], " 7  n    lorem ipsum dolor sit amet con…");
        assert_eq!(rendered.left_out, ["domain"]);
    }

    #[test]
    fn numbers_give_way_to_texts() {
        let t = table(
            &[
                ("id", Align::Right),
                ("n", Align::Right),
                ("domain", Align::Left),
                ("gloss", Align::Left),
            ],
            1,
            &[&["7", "1234567890123456", "noun.food", "a candy that is flavored with a mint oil"]],
        );
        let rendered = t.render(50);
        assert_eq!(rendered.lines[1], " 7  noun.food  a candy that is flavored with a mi…");
        assert_eq!(rendered.left_out, ["n"]);
        assert_eq!(t.render(100).left_out, [""; 0]);
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_it_may_be(
            rows in prop::collection::vec(prop::collection::vec("\\PC{0,60}", 5), 0..6),
            width in 40usize..200,
        ) {
            let mut t = Table::new(
                &[("id", Align::Right), ("b", Align::Left), ("c", Align::Right), ("d", Align::Left), ("e", Align::Left)],
                0,
            );
            for row in rows {
                t.row(row);
            }
            for line in t.render(width).lines {
                prop_assert!(measure_text_width(&line) <= width, "{line:?}");
            }
        }
    }
}
