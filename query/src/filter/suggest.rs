//! What someone probably meant.

/// Words that can stand where an operator is expected.
const OPERATOR_WORDS: [&str; 8] =
    ["IN", "NOT", "BETWEEN", "CONTAINS", "STARTSWITH", "LIKE", "EXISTS", "IS"];

/// Operators of other languages, and what they are called here.
const FOREIGN: [(&str, &str); 38] = [
    ("=<", "<="),
    ("=>", ">="),
    ("=!", "!="),
    ("><", "!="),
    ("===", "="),
    ("!==", "!="),
    ("<=>", "="),
    ("!", "!="),
    ("~", "LIKE"),
    ("=~", "LIKE"),
    ("~=", "LIKE"),
    ("~~", "LIKE"),
    ("!~", "NOT LIKE"),
    ("EQ", "="),
    ("EQUALS", "="),
    ("NE", "!="),
    ("NEQ", "!="),
    ("LT", "<"),
    ("LE", "<="),
    ("LTE", "<="),
    ("GT", ">"),
    ("GE", ">="),
    ("GTE", ">="),
    ("NIN", "NOT IN"),
    ("ISNULL", "IS NULL"),
    ("NOTNULL", "IS NOT NULL"),
    ("STARTS", "STARTSWITH"),
    ("STARTS_WITH", "STARTSWITH"),
    ("BEGINS", "STARTSWITH"),
    ("PREFIX", "STARTSWITH"),
    ("HAS", "CONTAINS"),
    ("INCLUDES", "CONTAINS"),
    ("ILIKE", "LIKE"),
    ("GLOB", "LIKE"),
    ("MATCH", "LIKE"),
    ("MATCHES", "LIKE"),
    ("REGEXP", "LIKE"),
    ("RLIKE", "LIKE"),
];

/// The operator that `found` was probably meant to be.
pub(super) fn operator(found: &str) -> Option<&'static str> {
    let foreign = FOREIGN.iter().find(|(theirs, _)| theirs.eq_ignore_ascii_case(found));
    foreign.map(|(_, ours)| *ours).or_else(|| nearest(found, &OPERATOR_WORDS))
}

/// The word between two conditions that `found` was probably meant to be.
pub(super) fn connective(found: &str) -> Option<&'static str> {
    match found {
        "&&" | "&" => Some("AND"),
        "||" | "|" => Some("OR"),
        _ => nearest(found, &["AND", "OR"]),
    }
}

/// The word with the fewest typing errors, if those are few for its length.
fn nearest(found: &str, words: &[&'static str]) -> Option<&'static str> {
    let found: Vec<char> = found.to_uppercase().chars().take(32).collect();
    let errors = |word: &&'static str| typing_errors(&found, &word.chars().collect::<Vec<_>>());
    let (count, word) = words.iter().map(|word| (errors(word), *word)).min()?;
    (count <= word.len() / 3 || (count == 1 && word.len() == 2 && found.len() > 2)).then_some(word)
}

/// Letters missing, too many, wrong, or swapped with a neighbour: the optimal string alignment
/// distance (Damerau 1964).
fn typing_errors(a: &[char], b: &[char]) -> usize {
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let mut least = change.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    least = least.min(rows[i - 2][j - 2] + 1);
                }
                least
            };
        }
    }
    rows[a.len()][b.len()]
}
