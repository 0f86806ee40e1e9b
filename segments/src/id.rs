//! Record ids.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// The id of a record, unique in its namespace.
///
/// Integers order before UUIDs, UUIDs before strings.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RecordId {
    /// Unsigned integer.
    U64(u64),
    /// UUID.
    Uuid(Uuid),
    /// UTF-8 string of 1 to 512 bytes.
    Str(Box<str>),
}

/// A record id that is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// The empty string.
    #[error("record id is empty")]
    Empty,
    /// Longer than [`RecordId::STR_BYTES_MAX`].
    #[error("record id has {bytes} bytes, at most {max} are allowed", max = RecordId::STR_BYTES_MAX)]
    TooLong {
        /// Bytes given.
        bytes: usize,
    },
}

impl RecordId {
    /// Longest string id, in bytes.
    pub const STR_BYTES_MAX: usize = 512;

    /// Checks the limits of a string id.
    pub fn validate(&self) -> Result<(), InvalidId> {
        match self {
            RecordId::Str(s) if s.is_empty() => Err(InvalidId::Empty),
            RecordId::Str(s) if s.len() > Self::STR_BYTES_MAX => {
                Err(InvalidId::TooLong { bytes: s.len() })
            }
            _ => Ok(()),
        }
    }

    /// Appends the id's bytes: a kind byte, then the value (integers big-endian), so that the
    /// bytes of two ids compare as the ids do.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            RecordId::U64(n) => {
                out.push(0);
                out.extend_from_slice(&n.to_be_bytes());
            }
            RecordId::Uuid(u) => {
                out.push(1);
                out.extend_from_slice(u.as_bytes());
            }
            RecordId::Str(s) => {
                out.push(2);
                out.extend_from_slice(s.as_bytes());
            }
        }
    }

    /// Reads what [`encode`](Self::encode) wrote; `None` if the bytes are not an id.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, value) = bytes.split_first()?;
        match kind {
            0 => Some(RecordId::U64(u64::from_be_bytes(value.try_into().ok()?))),
            1 => Some(RecordId::Uuid(Uuid::from_bytes(value.try_into().ok()?))),
            2 => {
                let id = RecordId::Str(std::str::from_utf8(value).ok()?.into());
                id.validate().ok().map(|()| id)
            }
            _ => None,
        }
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordId::U64(n) => n.fmt(f),
            RecordId::Uuid(u) => u.fmt(f),
            RecordId::Str(s) => s.fmt(f),
        }
    }
}

impl From<u64> for RecordId {
    fn from(n: u64) -> Self {
        RecordId::U64(n)
    }
}

impl From<Uuid> for RecordId {
    fn from(u: Uuid) -> Self {
        RecordId::Uuid(u)
    }
}

impl From<&str> for RecordId {
    fn from(s: &str) -> Self {
        RecordId::Str(s.into())
    }
}

impl From<String> for RecordId {
    fn from(s: String) -> Self {
        RecordId::Str(s.into())
    }
}

impl From<&RecordId> for RecordId {
    fn from(id: &RecordId) -> Self {
        id.clone()
    }
}

impl FromStr for RecordId {
    type Err = InvalidId;

    /// What a person types: all digits is an integer, a hyphenated UUID is a UUID, anything else
    /// is a string.
    fn from_str(s: &str) -> Result<Self, InvalidId> {
        let canonical_integer = s == "0" || !s.starts_with('0');
        if canonical_integer
            && s.bytes().all(|b| b.is_ascii_digit())
            && let Ok(n) = s.parse()
        {
            return Ok(RecordId::U64(n));
        }
        if s.len() == 36
            && let Ok(u) = Uuid::try_parse(s)
        {
            return Ok(RecordId::Uuid(u));
        }
        let id = RecordId::from(s);
        id.validate().map(|()| id)
    }
}
