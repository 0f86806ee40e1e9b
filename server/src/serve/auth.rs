//! Who may do what.

use subtle::ConstantTimeEq;

use crate::failure::{Failure, Result};
use crate::service::{Kind, Problem, Right};
use crate::settings::Settings;

/// Keys below this are guessed too easily to be let onto a network.
const KEY_BYTES_MIN: usize = 16;

/// The keys that are known, each with what it allows.
#[derive(Clone)]
pub(crate) struct Keys(Vec<(String, Right)>);

impl Keys {
    /// From the settings; refuses keys that are short.
    pub(crate) fn load(settings: &Settings) -> Result<Self> {
        let mut keys = Vec::new();
        if let Some(key) = &settings.api_key.0 {
            keys.push(("setting `api_key`".to_owned(), key.0.clone(), Right::Write));
        }
        if let Some(key) = &settings.read_only_api_key.0 {
            keys.push(("setting `read_only_api_key`".to_owned(), key.0.clone(), Right::Read));
        }
        if let Some(path) = &settings.api_key_file.0 {
            let text =
                std::fs::read_to_string(path).map_err(|e| Failure::io(path.display(), &e))?;
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
                keys.push((place, key.trim().to_owned(), right));
            }
            if keys.is_empty() {
                return Err(Failure::usage(format!("{}: there is no key in it", path.display())));
            }
        }
        if let Some((place, ..)) = keys.iter().find(|(_, key, _)| key.len() < KEY_BYTES_MIN) {
            return Err(Failure::usage(format!(
                "{place}: the key is shorter than {KEY_BYTES_MIN} characters"
            )));
        }
        Ok(Keys(keys.into_iter().map(|(_, key, right)| (key, right)).collect()))
    }

    /// Whether a key is needed.
    pub(crate) fn any(&self) -> bool {
        !self.0.is_empty()
    }

    /// Refuses who has no key, or none that allows it. Takes the same time whichever key is
    /// compared, and wherever two differ.
    pub(crate) fn check(
        &self,
        given: Option<&str>,
        needed: Right,
    ) -> std::result::Result<(), Problem> {
        if !self.any() {
            return Ok(());
        }
        let Some(given) = given else {
            return Err(Problem::new(
                Kind::Unauthenticated,
                "a key is needed: send `authorization: Bearer KEY` or `api-key: KEY`",
            ));
        };
        let mut allowed = None;
        for (key, right) in &self.0 {
            if bool::from(key.as_bytes().ct_eq(given.as_bytes())) {
                allowed = allowed.max(Some(*right));
            }
        }
        match allowed {
            None => Err(Problem::new(Kind::Unauthenticated, "this key is not known")),
            Some(right) if right < needed => {
                Err(Problem::new(Kind::PermissionDenied, "this key allows reading only"))
            }
            Some(_) => Ok(()),
        }
    }
}
