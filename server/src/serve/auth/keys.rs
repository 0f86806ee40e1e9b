//! Keys from the settings.

use std::sync::Arc;

use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use subtle::ConstantTimeEq;

use super::Caller;
use crate::failure::{Failure, Result};
use crate::service::{Right, Rights};
use crate::settings::{EntryRight, KeyEntry, Settings};

/// Keys below this are guessed too easily to be let onto a network.
const KEY_BYTES_MIN: usize = 16;

/// The keys that are known, by their hashes.
pub(super) struct Keys(Vec<Key>);

struct Key {
    sha256: [u8; SHA256_OUTPUT_LEN],
    caller: Caller,
}

impl Keys {
    /// From the settings; refuses keys that are short.
    pub(super) fn load(settings: &Settings) -> Result<Self> {
        let mut keys = Vec::new();
        let single = [
            ("api_key", &settings.api_key, Right::Write),
            ("read_only_api_key", &settings.read_only_api_key, Right::Read),
        ];
        for (name, key, right) in single {
            if let Some(key) = &key.0 {
                let place = format!("setting `{name}`");
                keys.push(Key::new(name, hash(&place, &key.0)?, Rights::on_all(right)));
            }
        }
        if let Some(path) = &settings.api_key_file.0 {
            let text =
                std::fs::read_to_string(path).map_err(|e| Failure::io(path.display(), &e))?;
            let before = keys.len();
            for (number, line) in text.lines().enumerate() {
                let place = format!("{} line {}", path.display(), number + 1);
                let line = line.trim();
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                let (right, key) = match line.split_once(char::is_whitespace) {
                    Some(("read-write", key)) => (Right::Write, key),
                    Some(("read-only", key)) => (Right::Read, key),
                    _ => {
                        return Err(Failure::usage(format!(
                            "{place}: expected `read-write KEY` or `read-only KEY`"
                        )));
                    }
                };
                let name = format!("api_key_file:{}", number + 1);
                keys.push(Key::new(&name, hash(&place, key.trim())?, Rights::on_all(right)));
            }
            if keys.len() == before {
                return Err(Failure::usage(format!("{}: there is no key in it", path.display())));
            }
        }
        for entry in &settings.keys {
            keys.push(Key::from_entry(entry)?);
        }
        Ok(Keys(keys))
    }

    pub(super) fn any(&self) -> bool {
        !self.0.is_empty()
    }

    /// Who has this key; if it is there several times, all that it allows. Hashes are compared,
    /// all of them and each to its end, so the time tells nothing about a key.
    pub(super) fn find(&self, given: &str) -> Option<Caller> {
        let given = digest(&SHA256, given.as_bytes());
        let mut found: Option<Caller> = None;
        for key in &self.0 {
            if bool::from(key.sha256.ct_eq(given.as_ref())) {
                found = Some(match found {
                    None => key.caller.clone(),
                    Some(caller) => {
                        let both = (*caller.rights).clone().or((*key.caller.rights).clone());
                        Caller { rights: Arc::new(both), ..caller }
                    }
                });
            }
        }
        found
    }
}

impl Key {
    fn new(name: &str, sha256: [u8; SHA256_OUTPUT_LEN], rights: Rights) -> Self {
        Key { sha256, caller: Caller { name: Some(name.into()), rights: Arc::new(rights) } }
    }

    fn from_entry(entry: &KeyEntry) -> Result<Self> {
        let place = format!("[[keys]] `{}`", entry.name);
        let sha256 = match (&entry.key, &entry.key_sha256) {
            (Some(key), _) => hash(&place, &key.0)?,
            (None, digits) => digits.as_deref().and_then(from_hex).ok_or_else(|| {
                let digits = 2 * SHA256_OUTPUT_LEN;
                Failure::usage(format!("{place}: `key_sha256` is not {digits} hexadecimal digits"))
            })?,
        };
        let right = match entry.rights {
            EntryRight::ReadOnly => Right::Read,
            EntryRight::ReadWrite => Right::Write,
        };
        let rights = match &entry.collections {
            None => Rights::on_all(right),
            Some(names) => Rights::on(names.iter().cloned(), right),
        };
        Ok(Key::new(&entry.name, sha256, rights))
    }
}

fn hash(place: &str, key: &str) -> Result<[u8; SHA256_OUTPUT_LEN]> {
    if key.len() < KEY_BYTES_MIN {
        return Err(Failure::usage(format!(
            "{place}: the key is shorter than {KEY_BYTES_MIN} characters"
        )));
    }
    let mut hash = [0; SHA256_OUTPUT_LEN];
    hash.copy_from_slice(digest(&SHA256, key.as_bytes()).as_ref());
    Ok(hash)
}

fn from_hex(digits: &str) -> Option<[u8; SHA256_OUTPUT_LEN]> {
    let mut bytes = [0; SHA256_OUTPUT_LEN];
    if digits.len() != 2 * bytes.len() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, at) in bytes.iter_mut().zip((0..digits.len()).step_by(2)) {
        *byte = u8::from_str_radix(&digits[at..at + 2], 16).ok()?;
    }
    Some(bytes)
}
