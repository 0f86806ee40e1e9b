//! Who asks, and what they may do: a key, or a token that somebody with a key of another kind
//! signed.

mod keys;
mod token;

use std::sync::Arc;

use crate::failure::Result;
use crate::service::{Kind, Problem, Right, Rights};
use crate::settings::Settings;
use keys::Keys;
use token::Tokens;

/// Who sent a request.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// None where no key is needed.
    pub(super) name: Option<Arc<str>>,
    pub(super) rights: Arc<Rights>,
}

/// The keys that are known and the signatures that are accepted.
pub(super) struct Auth {
    keys: Keys,
    tokens: Tokens,
}

impl Auth {
    pub(super) fn load(settings: &Settings) -> Result<Self> {
        Ok(Auth { keys: Keys::load(settings)?, tokens: Tokens::load(settings)? })
    }

    /// Whether a key or a token is needed.
    pub(super) fn any(&self) -> bool {
        self.keys.any() || self.tokens.any()
    }

    /// Who has this key or token.
    pub(super) fn caller(&self, given: Option<&str>) -> std::result::Result<Caller, Problem> {
        if !self.any() {
            return Ok(Caller { name: None, rights: Arc::new(Rights::on_all(Right::Write)) });
        }
        let refused = |message| Problem::new(Kind::Unauthenticated, message);
        let Some(given) = given else {
            let message =
                "a key is needed: send `authorization: Bearer KEY` or `api-key: KEY`".to_owned();
            return Err(refused(message));
        };
        if let Some(caller) = self.keys.find(given) {
            return Ok(caller);
        }
        if self.tokens.any() && token::looks_like_one(given) {
            return self.tokens.verify(given).map_err(|why| refused(format!("the token {why}")));
        }
        Err(refused("this key is not known".to_owned()))
    }
}
