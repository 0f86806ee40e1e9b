//! `--include`: what is shown of each record besides its id.

use serde_json::{Map, Value};
use vecstore::{Include, Metadata};

/// What is shown of each record besides its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) metadata: Fields,
    pub(crate) vector: bool,
}

/// Which metadata is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fields {
    None,
    All,
    /// These, in this order; a dot leads into an object.
    Named(Vec<String>),
}

impl Shown {
    /// Metadata and no vector: the value if nothing is said.
    pub(crate) const DEFAULT: &'static str = "metadata";

    /// Metadata and no vector.
    pub(crate) fn metadata() -> Self {
        Shown { metadata: Fields::All, vector: false }
    }

    /// What has to be read for it.
    pub(crate) fn include(&self) -> Include {
        Include { metadata: self.metadata != Fields::None, vector: self.vector }
    }
}

/// Reads `metadata,vector`, `metadata.FIELD,…` or `none`.
pub(crate) fn parse(text: &str) -> Result<Shown, String> {
    if text.trim() == "none" {
        return Ok(Shown { metadata: Fields::None, vector: false });
    }
    parse_items(text.split(',').map(str::trim))
}

/// Reads a list of `metadata`, `metadata.FIELD` and `vector`; an empty one shows ids only.
pub(crate) fn parse_items<'a>(items: impl Iterator<Item = &'a str>) -> Result<Shown, String> {
    let mut shown = Shown { metadata: Fields::None, vector: false };
    for item in items {
        match (item, item.strip_prefix("metadata.")) {
            ("metadata", _) => shown.metadata = Fields::All,
            ("vector", _) => shown.vector = true,
            (_, Some(field)) if !field.is_empty() => match &mut shown.metadata {
                Fields::All => {}
                Fields::Named(fields) => fields.push(field.to_owned()),
                Fields::None => shown.metadata = Fields::Named(vec![field.to_owned()]),
            },
            _ => {
                return Err(format!(
                    "`{item}` is not one of `metadata`, `metadata.FIELD`, `vector`; for ids only use \
                     `none` alone, or an empty list"
                ));
            }
        }
    }
    Ok(shown)
}

impl Fields {
    /// The part of `metadata` that is shown.
    pub(crate) fn select(&self, metadata: Metadata) -> Map<String, Value> {
        match self {
            Fields::None => Map::new(),
            Fields::All => metadata,
            Fields::Named(names) => names
                .iter()
                .filter_map(|name| Some((name.clone(), at_path(&metadata, name)?.clone())))
                .collect(),
        }
    }
}

/// The value of a field; a name with dots is tried as it is first, then as a path.
fn at_path<'a>(metadata: &'a Metadata, name: &str) -> Option<&'a Value> {
    if let Some(value) = metadata.get(name) {
        return Some(value);
    }
    let mut steps = name.split('.');
    let first = metadata.get(steps.next()?)?;
    steps.try_fold(first, |value, step| value.get(step))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_are_read() {
        let named = |names: &[&str]| Fields::Named(names.iter().map(|&n| n.to_owned()).collect());
        for (text, metadata, vector) in [
            ("metadata", Fields::All, false),
            ("none", Fields::None, false),
            ("vector", Fields::None, true),
            ("vector, metadata", Fields::All, true),
            ("metadata.b,metadata.a.c", named(&["b", "a.c"]), false),
            ("metadata.b,metadata", Fields::All, false),
            ("metadata,metadata.b", Fields::All, false),
        ] {
            assert_eq!(parse(text), Ok(Shown { metadata, vector }), "{text}");
        }
        for text in ["", "vectors", "metadata,", "none,vector", "metadata."] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(parse(Shown::DEFAULT).unwrap().include(), Include::default());
    }

    #[test]
    fn fields_are_selected_by_path() {
        let Value::Object(metadata) = json!({"a": {"c": 1, "d": 2}, "b": 3, "x.y": 4}) else {
            unreachable!()
        };
        let select =
            |text: &str| Value::Object(parse(text).unwrap().metadata.select(metadata.clone()));
        assert_eq!(select("metadata.a.c,metadata.b,metadata.no"), json!({"a.c": 1, "b": 3}));
        assert_eq!(select("metadata.x.y,metadata.b.c"), json!({"x.y": 4}));
        assert_eq!(select("vector"), json!({}));
    }
}
