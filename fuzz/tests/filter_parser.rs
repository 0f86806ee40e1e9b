//! The fuzz property on stable Rust: every seed, and many small changes to them.

#![allow(clippy::unwrap_used)]

mod seeds;

use vecstore_fuzz::filter_parser;

use seeds::{Random, seeds};

/// Texts tried besides the seeds themselves.
const MUTATIONS: usize = 50_000;

/// What a mutation may insert: pieces that mean something to the parser, and some that should not.
const PIECES: [&str; 40] = [
    "(",
    ")",
    "[",
    "]",
    ",",
    ".",
    "'",
    "\"",
    "''",
    "$",
    "$a",
    "=",
    "!=",
    "<",
    "<=",
    "=<",
    " ",
    "\0",
    "ä",
    "漢",
    " AND ",
    " OR ",
    "NOT ",
    " IN ",
    " IS NULL",
    " LIKE ",
    "EXISTS ",
    " BETWEEN ",
    "-",
    "0",
    "9223372036854775808",
    "1e9",
    "1e999",
    ".5",
    "null",
    "true",
    "\\",
    "%",
    "_",
    "((((((((",
];

/// One change: bytes taken out, doubled, replaced, or a piece or a part of another seed put in.
fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    let end = (at + 1 + random.below(8)).min(bytes.len());
    match random.below(6) {
        0 => drop(bytes.drain(at.min(end)..end)),
        1 => {
            let again = bytes[at.min(end)..end].to_vec();
            bytes.splice(at..at, again);
        }
        2 if at < bytes.len() => bytes[at] = random.next() as u8,
        3 => {
            let from = random.below(other.len());
            let to = (from + random.below(24)).min(other.len());
            bytes.splice(at..at, other[from..to].iter().copied());
        }
        _ => {
            let piece = PIECES[random.below(PIECES.len())];
            bytes.splice(at..at, piece.bytes());
        }
    }
}

#[test]
fn every_seed_holds() {
    for (name, bytes) in seeds("filter_parser") {
        assert!(std::str::from_utf8(&bytes).is_ok(), "seed {name} is not UTF-8");
        filter_parser(&bytes);
    }
}

#[test]
fn mutated_seeds_hold() {
    let seeds = seeds("filter_parser");
    let mut random = Random(1);
    let mut texts = 0;
    for _ in 0..MUTATIONS {
        let mut bytes = seeds[random.below(seeds.len())].1.clone();
        for _ in 0..=random.below(4) {
            let other = &seeds[random.below(seeds.len())].1;
            mutate(&mut bytes, other, &mut random);
        }
        texts += usize::from(std::str::from_utf8(&bytes).is_ok());
        filter_parser(&bytes);
    }
    // Too many broken characters would test the skipping of what is not UTF-8.
    assert!(texts > MUTATIONS * 3 / 4, "only {texts} of {MUTATIONS} are UTF-8");
}

#[test]
fn nesting_holds() {
    for piece in ["(", "NOT ", "NOT(", "[", "a IN (", "EXISTS(", "'", "\"", "a AND ", "a.", "''"] {
        for count in [1, 63, 64, 65, 1_000, 10_000] {
            filter_parser(piece.repeat(count).as_bytes());
            filter_parser(format!("{}a = 1{}", piece.repeat(count), ")".repeat(count)).as_bytes());
        }
    }
}
