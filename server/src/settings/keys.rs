//! The keys of the settings file: `[[keys]]`, one table each.

use serde::Deserialize;

use super::Secret;

/// A key, what it allows and where.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyEntry {
    /// Names it in logs and limits.
    pub(crate) name: String,
    /// The key itself, or
    pub(crate) key: Option<Secret>,
    /// its SHA-256 in hexadecimal digits, so that who reads the file can't use it.
    pub(crate) key_sha256: Option<String>,
    pub(crate) rights: EntryRight,
    /// None: all, and what concerns the whole database.
    pub(crate) collections: Option<Vec<String>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum EntryRight {
    ReadOnly,
    ReadWrite,
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Secret)
    }
}

/// Reads the value of `keys`.
pub(super) fn read(value: toml::Value) -> Result<Vec<KeyEntry>, String> {
    let toml::Value::Array(tables) = value else {
        return Err("`keys` is not a list of tables; write each key under `[[keys]]`".to_owned());
    };
    let mut keys: Vec<KeyEntry> = Vec::new();
    for (number, table) in tables.into_iter().enumerate() {
        let place = format!("[[keys]] number {}", number + 1);
        let key: KeyEntry =
            table.try_into().map_err(|e: toml::de::Error| format!("{place}: {}", e.message()))?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if key.name.is_empty() || key.name.len() > 64 || !key.name.chars().all(allowed) {
            return Err(format!(
                "{place}: a name has 1 to 64 letters, digits, `-`, `_` and `.`, not `{}`",
                key.name.escape_debug()
            ));
        }
        let place = format!("[[keys]] `{}`", key.name);
        if keys.iter().any(|other| other.name == key.name) {
            return Err(format!("{place}: there are two keys of this name"));
        }
        if key.key.is_some() == key.key_sha256.is_some() {
            return Err(format!("{place}: give either `key` or `key_sha256`"));
        }
        if key.collections.as_ref().is_some_and(Vec::is_empty) {
            return Err(format!(
                "{place}: `collections` is empty, so the key would allow nothing; leave it out for \
                 all"
            ));
        }
        keys.push(key);
    }
    Ok(keys)
}
