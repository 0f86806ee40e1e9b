//! Texts as long as are read, each long in another way.

use serde_json::json;
use vecstore_query::{FILTER_DEPTH_MAX, Params};

/// `piece` as often as it fits, between `head` and `tail`.
fn filled(head: &str, piece: &str, tail: &str, bytes: usize) -> String {
    let room = bytes.saturating_sub(head.len() + tail.len());
    format!("{head}{}{tail}", piece.repeat(room / piece.len()))
}

/// Texts of about so many bytes, each long in another way; some are filters, some are not.
pub(crate) fn texts(bytes: usize) -> Vec<(&'static str, String)> {
    let fill = |head, piece, tail| filled(head, piece, tail, bytes);
    let depth = FILTER_DEPTH_MAX - 1;
    let nested = |open: &str, close: &str| {
        let level = format!("{}a = 1{} OR ", open.repeat(depth), close.repeat(depth));
        filled("", &level, "a = 1", bytes)
    };
    // Values that all differ, where a piece that is repeated would be one value.
    let numbered = |head: &str, piece: &dyn Fn(usize) -> String, tail: &str| {
        let mut text = head.to_owned();
        for piece in (0..).map(piece) {
            if text.len() + piece.len() + tail.len() > bytes {
                break;
            }
            text += &piece;
        }
        text + tail
    };
    vec![
        ("parentheses", fill("", "(", "")),
        ("closed parentheses", {
            let half = bytes / 2 - 4;
            format!("{}a = 1{}", "(".repeat(half), ")".repeat(half))
        }),
        ("NOT", fill("", "NOT ", "a = 1")),
        ("NOT (", fill("", "NOT(", "a = 1")),
        ("nests as deep as may be", nested("(", ")")),
        ("NOT as deep as may be", nested("NOT ", "")),
        ("a nest in each level", nested("(b = 1 AND ", ")")),
        ("AND", fill("a = 1", " AND a = 1", "")),
        ("OR", fill("a = 1", " OR a = 1", "")),
        ("AND and OR", fill("a = 1", " OR a = 1 AND b != 2", "")),
        ("pairs", fill("a = 1", " AND (b = 1 OR c = 1)", "")),
        ("IN with integers", fill("a IN [1", ",1", "]")),
        ("IN with floats", fill("a IN [1.5", ", 1.5e-3", "]")),
        ("IN with strings", fill("a IN ['x'", ", 'it''s'", "]")),
        ("IN with different integers", numbered("a IN [0", &|i| format!(",{i}"), "]")),
        ("IN with different strings", numbered("a IN ['x'", &|i| format!(",'x{i}'"), "]")),
        ("different integers", numbered("a = 0", &|i| format!(" OR a = {i}"), "")),
        ("different ranges", numbered("a > 0", &|i| format!(" AND a BETWEEN {i} AND 9999999"), "")),
        ("different NOTs", numbered("a = 0", &|i| format!(" OR NOT a = {i}"), "")),
        ("IN with dates", fill("a IN [1", ", DATE '2024-05-01T10:00:00.123456+02:00'", "]")),
        ("IN with parameters", fill("a IN [$p", ",$p", "]")),
        ("IN without an end", fill("a IN [1", ",1", "")),
        ("lists in lists", fill("a IN ", "[", "")),
        ("IN a list that is bound", fill("a IN $list", " OR a IN $list", "")),
        ("a string", fill("a = '", "x", "'")),
        ("a string of quotes", fill("a = '", "''", "'")),
        ("a string of other letters", fill("a = '", "漢", "'")),
        ("a string without an end", fill("a = '", "x", "")),
        ("quotes", fill("a = ", "'", "")),
        ("a name of quotes", fill("\"", "\"\"", "\" = 1")),
        ("a name without an end", fill("", "\"", "\"")),
        ("a long name", fill("", "a", " = 1")),
        ("a long path", fill("a", ".a", " = 1")),
        ("a path of quoted names", fill("\"a\"", ".\"b.c\"", " = 1")),
        ("points", fill("a", ".", "")),
        ("digits", fill("a = 1", "0", "")),
        ("digits behind a point", fill("a = 1.", "1", "")),
        ("an exponent", fill("a = 1e", "0", "1")),
        ("digits and names", fill("a = 1", "x", "")),
        ("signs", fill("a ", "<", " 1")),
        ("a misspelt operator", fill("a ", "LIKEE", " 'x'")),
        ("a misspelt connective", fill("a = 1 ", "AND", " b = 1")),
        ("names in a row", fill("a", " a", "")),
        ("blanks", fill("a", " ", "= 1")),
        ("other blanks", fill("a", "\u{2003}", "= 1")),
        ("a pattern of wildcards", fill("a LIKE '", "%", "'")),
        ("many patterns", fill("a LIKE '%x%'", " OR a LIKE '%1_%2'", "")),
        ("many CONTAINS", fill("a CONTAINS 'x'", " OR a CONTAINS '12'", "")),
        ("a pattern of one letter", fill("a LIKE '%", "x", "'")),
        ("a pattern of letters", fill("a LIKE '", "%a_", "'")),
        ("a pattern of backslashes", fill("a LIKE '", "\\\\", "'")),
        ("parameters", fill("a = $p", " OR b = $p", "")),
        ("a parameter's name", fill("a = $", "p", "")),
        ("comparisons of many kinds", {
            let all = " OR a.b < 1 AND c CONTAINS 'x' AND d BETWEEN 1 AND 2 OR e IS NOT NULL \
                       OR NOT EXISTS f AND g STARTSWITH 'y' AND h NOT IN (1, null, true)";
            filled("a = 1", all, "", bytes)
        }),
        ("a long name before NOT EXISTS", fill("a", "a", " NOT EXISTS")),
        ("a value without quotes", fill("a = ", "a", "")),
        ("a parameter of the wrong kind", fill("a STARTSWITH $list OR ", "a", "= 1")),
        ("zeros", fill("", "\0", "")),
        ("commas", fill("a IN [", ",", "]")),
    ]
}

pub(crate) fn params() -> Params {
    Params::from([
        ("p".to_owned(), json!("x")),
        ("list".to_owned(), json!([1, "a", null])),
        ("unused".to_owned(), json!(1)),
    ])
}

/// The parameters that a text uses, so that it is not refused for one left over.
pub(crate) fn used(text: &str) -> Params {
    let mut params = params();
    params.retain(|name, _| text.contains(&format!("${name}")));
    params
}
