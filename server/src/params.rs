//! `--param NAME=JSON`: values for the `$name`s of a filter.

use serde_json::Value;
use vecstore::Selection;

/// A value bound to a name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Param {
    pub(crate) name: String,
    pub(crate) value: Value,
}

/// Reads `NAME=JSON`.
pub(crate) fn parse(text: &str) -> Result<Param, String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=JSON")?;
    let name = name.strip_prefix('$').unwrap_or(name);
    if name.is_empty() {
        return Err("the name before `=` is empty".to_owned());
    }
    let value = serde_json::from_str(value).map_err(|_| {
        format!("`{value}` is not JSON; a string needs its quotes: --param '{name}=\"{value}\"'")
    })?;
    Ok(Param { name: name.to_owned(), value })
}

/// Gives the parameters of a selection their values.
pub(crate) fn bind<'a>(selection: Selection<'a>, params: &[Param]) -> Selection<'a> {
    params
        .iter()
        .fold(selection, |selection, param| selection.bind(&param.name, param.value.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_and_values_are_read() {
        for (text, name, value) in [
            ("d=\"noun.food\"", "d", json!("noun.food")),
            ("$n=80", "n", json!(80)),
            ("list=[\"a=b\",2]", "list", json!(["a=b", 2])),
        ] {
            assert_eq!(parse(text), Ok(Param { name: name.to_owned(), value }));
        }
        assert_eq!(
            parse("d=noun.food").unwrap_err(),
            "`noun.food` is not JSON; a string needs its quotes: --param 'd=\"noun.food\"'"
        );
        assert!(parse("d").is_err());
        assert!(parse("=1").is_err());
        assert!(parse("$=1").is_err());
    }
}
