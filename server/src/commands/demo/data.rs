//! The data of the demo, which is part of the binary; see `server/data/wordnet-10k/README.md`.

use serde::Deserialize;

use crate::failure::{Failure, Result};
use crate::input::{ArrayFile, Arrays, LineFile, NpyReader, Source};

/// Records of the base set.
pub(super) const RECORDS: u64 = 10_000;
/// Components of a vector.
pub(super) const DIM: usize = 384;

static BASE: &[u8] = include_bytes!("../../../data/wordnet-10k/base.f16.npy");
static BASE_RECORDS: &[u8] = include_bytes!("../../../data/wordnet-10k/records.jsonl.gz");
static QUERIES: &[u8] = include_bytes!("../../../data/wordnet-10k/queries.f16.npy");
static QUERY_RECORDS: &[u8] = include_bytes!("../../../data/wordnet-10k/queries.jsonl");

/// A definition that is not in the base set.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Question {
    /// The words it defines.
    pub(super) lemmas: Vec<String>,
    /// The definition.
    pub(super) gloss: String,
    /// Its vector.
    #[serde(skip)]
    pub(super) vector: Vec<f32>,
}

/// The base set: definitions with their vectors.
pub(super) fn base() -> Result<Source<'static>> {
    let arrays = vec![ArrayFile::Bytes("base.f16.npy", BASE)];
    let records = vec![LineFile::Bytes("records.jsonl.gz", BASE_RECORDS)];
    Ok(Source::Arrays(Arrays::new(arrays, records, Some("id".to_owned()))?))
}

/// The definitions that are not in the base set. The first are the ones the demo shows.
pub(super) fn questions() -> Result<Vec<Question>> {
    let mut vectors = NpyReader::from_bytes("queries.f16.npy", QUERIES)?;
    let lines = QUERY_RECORDS.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let mut question: Question = serde_json::from_slice(line)
                .map_err(|e| Failure::invalid(format!("queries.jsonl: {e}")))?;
            question.vector = vec![0.0; vectors.dim()];
            if !vectors.read_row(&mut question.vector)? {
                return Err(Failure::invalid("queries.f16.npy: fewer rows than queries.jsonl"));
            }
            Ok(question)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_files_are_what_the_demo_says() {
        let mut base = base().unwrap();
        assert_eq!(base.total(), Some(RECORDS));
        assert_eq!(base.dim().unwrap(), Some(DIM));
        let (first, _) = base.next_record(DIM).unwrap().unwrap();
        assert_eq!(first.id, 0.into());
        assert_eq!(first.metadata["lemmas"][0], "cockade");
        assert!(first.metadata.get("id").is_none());

        let questions = questions().unwrap();
        assert_eq!(questions.len(), 100);
        assert_eq!(questions[0].gloss, "a wind from the east");
        assert!(questions.iter().all(|q| q.vector.len() == DIM));
    }
}
