//! Which codes are kept beside full vectors.

use std::fmt;
use std::str::FromStr;

/// Which codes are kept beside full vectors, for searches to read in their place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Codes {
    /// Eight bits a component, and of those four bits a component for walks through a graph and one for scans
    /// under a filter.
    #[default]
    Int8,
    /// None: whatever is compared is a full vector.
    None,
}

impl Codes {
    /// Every choice, in the order in which they are documented.
    pub const ALL: [Codes; 2] = [Codes::Int8, Codes::None];

    /// The name used in every face and on disk.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Codes::Int8 => "int8",
            Codes::None => "none",
        }
    }
}

impl fmt::Display for Codes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name of codes that is none of the known ones.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown codes `{0}`: use int8 or none")]
pub struct UnknownCodes(pub String);

impl FromStr for Codes {
    type Err = UnknownCodes;

    /// Reads the name of codes in any letter case.
    fn from_str(name: &str) -> Result<Self, UnknownCodes> {
        let named = Codes::ALL.into_iter().find(|codes| codes.name().eq_ignore_ascii_case(name));
        named.ok_or_else(|| UnknownCodes(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for codes in Codes::ALL {
            assert_eq!(codes.name().to_uppercase().parse(), Ok(codes));
        }
        let error = "int9".parse::<Codes>().map_err(|error| error.to_string());
        assert_eq!(error, Err("unknown codes `int9`: use int8 or none".to_owned()));
    }
}
