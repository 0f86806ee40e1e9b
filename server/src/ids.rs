//! Record ids as people type them, and as JSON.

use clap::Args;
use serde::{Serialize, Serializer};
use vecstore::RecordId;

use crate::failure::{Failure, Result};

/// How the IDs of a command line are read.
#[derive(Debug, Args)]
pub(crate) struct IdReading {
    /// Take every ID as a string, also one of digits only or in the form of a UUID
    #[arg(long)]
    string_ids: bool,
}

impl IdReading {
    /// The id that was typed.
    pub(crate) fn read(&self, text: &str) -> Result<RecordId> {
        let id = if self.string_ids { Ok(RecordId::from(text)) } else { text.parse() };
        let id = id.map_err(|e| Failure::usage(e.to_string()))?;
        id.validate().map_err(|e| Failure::usage(e.to_string()))?;
        Ok(id)
    }

    /// The ids that were typed.
    pub(crate) fn read_all(&self, texts: &[String]) -> Result<Vec<RecordId>> {
        texts.iter().map(|text| self.read(text)).collect()
    }
}

/// The id of a JSON string: a UUID if it has the form of one, so that what `export` wrote comes
/// back as it was; otherwise the string, also if it is all digits.
pub(crate) fn from_json_string(text: &str) -> RecordId {
    match text.parse() {
        Ok(id @ RecordId::Uuid(_)) => id,
        _ => RecordId::from(text),
    }
}

/// An id that becomes a JSON number or string.
#[derive(Debug)]
pub(crate) struct JsonId<'a>(pub(crate) &'a RecordId);

impl Serialize for JsonId<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self.0 {
            RecordId::U64(n) => serializer.serialize_u64(*n),
            id => serializer.collect_str(id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "67e55044-10b1-426f-9247-bb680e5fe0c8";

    #[test]
    fn typed_ids_have_a_type() {
        let auto = IdReading { string_ids: false };
        let strings = IdReading { string_ids: true };
        assert_eq!(auto.read("12").unwrap(), RecordId::U64(12));
        assert!(matches!(auto.read(UUID).unwrap(), RecordId::Uuid(_)));
        assert_eq!(auto.read("012").unwrap(), RecordId::from("012"));
        assert_eq!(strings.read("12").unwrap(), RecordId::from("12"));
        assert_eq!(strings.read(UUID).unwrap(), RecordId::from(UUID));
        assert_eq!(auto.read("").unwrap_err().to_string(), "record id is empty");
        assert_eq!(strings.read("").unwrap_err().to_string(), "record id is empty");
    }

    #[test]
    fn json_ids_come_back_with_their_type() {
        for (id, json) in [
            (RecordId::U64(u64::MAX), "18446744073709551615".to_owned()),
            (RecordId::from("12"), "\"12\"".to_owned()),
            (UUID.parse().unwrap(), format!("\"{UUID}\"")),
        ] {
            let text = serde_json::to_string(&JsonId(&id)).unwrap();
            assert_eq!(text, json);
            let back = match serde_json::from_str(&text).unwrap() {
                serde_json::Value::String(s) => from_json_string(&s),
                value => RecordId::U64(value.as_u64().unwrap()),
            };
            assert_eq!(back, id);
        }
    }
}
