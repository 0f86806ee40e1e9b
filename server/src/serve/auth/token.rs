//! JSON Web Tokens (RFC 7519), so that somebody who is not the server can hand out rights.
//!
//! Claims: `access` (`"r"`, `"rw"` or Qdrant's `"m"` for everything, or a list of
//! `{"collection", "access"}` with `"r"` or `"rw"`), and `exp`, `nbf`, `aud`, `sub` as in the RFC.
//! The algorithm belongs to the key, not to the token: a token can't choose how it is verified.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::{hmac, signature};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;

use super::Caller;
use crate::failure::{Failure, Result};
use crate::service::{Right, Rights};
use crate::settings::Settings;

/// Less than the output of the hash makes a secret easier to guess than a signature (RFC 7518).
const SECRET_BYTES_MIN: usize = 32;
/// By how much clocks may differ.
const LEEWAY: Duration = Duration::from_secs(30);
/// `sub` in logs and limits.
const SUBJECT_BYTES_MAX: usize = 64;

/// What tokens are verified with.
pub(super) struct Tokens {
    secret: Option<hmac::Key>,
    public: Option<PublicKey>,
    audience: Option<String>,
}

struct PublicKey {
    /// Its name in the head of a token.
    algorithm: &'static str,
    key: signature::UnparsedPublicKey<Vec<u8>>,
}

#[derive(Deserialize)]
struct Head {
    alg: String,
    /// Extensions that must be understood; there are none here.
    crit: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Claims {
    access: Option<Access>,
    exp: Option<f64>,
    nbf: Option<f64>,
    aud: Option<Audience>,
    sub: Option<String>,
    /// Restricts a token in Qdrant; letting it in without would give more than was meant.
    value_exists: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Access {
    All(String),
    Collections(Vec<CollectionAccess>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CollectionAccess {
    collection: String,
    access: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// Whether a key could be a token.
pub(super) fn looks_like_one(given: &str) -> bool {
    given.split('.').count() == 3
}

impl Tokens {
    pub(super) fn load(settings: &Settings) -> Result<Self> {
        let secret = settings.jwt_secret_file.0.as_deref().map(read_secret).transpose()?;
        let public = settings.jwt_public_key_file.0.as_deref().map(PublicKey::load).transpose()?;
        let audience = settings.jwt_audience.0.clone();
        if audience.is_some() && secret.is_none() && public.is_none() {
            return Err(Failure::usage(
                "setting `jwt_audience` needs `jwt_secret_file` or `jwt_public_key_file`",
            ));
        }
        Ok(Tokens { secret, public, audience })
    }

    pub(super) fn any(&self) -> bool {
        self.secret.is_some() || self.public.is_some()
    }

    /// Who a token speaks for; else what is wrong with it.
    pub(super) fn verify(&self, token: &str) -> std::result::Result<Caller, String> {
        let malformed = || "is not a JSON Web Token".to_owned();
        let (signed, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
        let (head, claims) = signed.split_once('.').ok_or_else(malformed)?;
        let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed());
        let head: Head = serde_json::from_slice(&bytes(head)?).map_err(|_| malformed())?;
        self.check_signature(&head, signed.as_bytes(), &bytes(signature)?)?;
        let claims = serde_json::from_slice(&bytes(claims)?)
            .map_err(|e| format!("has claims that can't be read: {e}"))?;
        self.caller(claims)
    }

    fn check_signature(
        &self,
        head: &Head,
        signed: &[u8],
        signature: &[u8],
    ) -> std::result::Result<(), String> {
        if head.crit.is_some() {
            return Err("has extensions (`crit`), and none is understood here".to_owned());
        }
        let valid = match (head.alg.as_str(), &self.secret, &self.public) {
            ("HS256", Some(secret), _) => hmac::verify(secret, signed, signature).is_ok(),
            (algorithm, _, Some(public)) if algorithm == public.algorithm => {
                public.key.verify(signed, signature).is_ok()
            }
            (other, ..) => {
                return Err(format!(
                    "says it is signed with `{}`, for which this server has no key",
                    other.escape_debug()
                ));
            }
        };
        if valid { Ok(()) } else { Err("has a signature that is not valid".to_owned()) }
    }

    fn caller(&self, claims: Claims) -> std::result::Result<Caller, String> {
        let now = SystemTime::now();
        let until = claims.exp.map(|exp| time("exp", exp).map(|exp| exp + LEEWAY)).transpose()?;
        if until.is_some_and(|until| until <= now) {
            return Err("has expired".to_owned());
        }
        if let Some(nbf) = claims.nbf
            && time("nbf", nbf)? > now + LEEWAY
        {
            return Err("is not valid yet".to_owned());
        }
        if let Some(wanted) = &self.audience {
            let named = match &claims.aud {
                Some(Audience::One(name)) => name == wanted,
                Some(Audience::Many(names)) => names.contains(wanted),
                None => false,
            };
            if !named {
                return Err("is not meant for this server (claim `aud`)".to_owned());
            }
        }
        if claims.value_exists.is_some() {
            return Err("has the claim `value_exists`, which is not supported".to_owned());
        }
        let mut rights = match claims.access {
            None => return Err("has no claim `access`".to_owned()),
            Some(Access::All(access)) => Rights::on_all(match access.as_str() {
                "r" => Right::Read,
                "rw" | "m" => Right::Write,
                _ => return Err("has an `access` that is not `r` or `rw`".to_owned()),
            }),
            Some(Access::Collections(list)) => {
                let mut collections = BTreeMap::new();
                for CollectionAccess { collection, access } in list {
                    let right = match access.as_str() {
                        "r" => Right::Read,
                        "rw" => Right::Write,
                        _ => return Err("has an `access` that is not `r` or `rw`".to_owned()),
                    };
                    let known = collections.entry(collection).or_insert(right);
                    *known = right.max(*known);
                }
                Rights { collections, ..Rights::default() }
            }
        };
        rights.until = until;
        let subject: String = match &claims.sub {
            // It goes to the log, where it must not pass for anything else.
            Some(sub) => {
                sub.chars().filter(|c| c.is_ascii_graphic()).take(SUBJECT_BYTES_MAX).collect()
            }
            None => String::new(),
        };
        Ok(Caller { name: Some(format!("token:{subject}").into()), rights: Arc::new(rights) })
    }
}

/// A date of the RFC: seconds, with a fraction or without.
fn time(claim: &str, seconds: f64) -> std::result::Result<SystemTime, String> {
    let wrong = || format!("has a claim `{claim}` that is not a time");
    // Later than a year in which anybody reads it; what is added must not overflow.
    let seconds = seconds.min(1e12);
    let since = Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
    UNIX_EPOCH.checked_add(since).ok_or_else(wrong)
}

fn read_secret(path: &Path) -> Result<hmac::Key> {
    let bytes = std::fs::read(path).map_err(|e| Failure::io(path.display(), &e))?;
    let secret = bytes.trim_ascii_end();
    if secret.len() < SECRET_BYTES_MIN {
        return Err(Failure::usage(format!(
            "{}: the secret has {} bytes, and needs at least {SECRET_BYTES_MIN}; make one with \
             `openssl rand -hex 32`",
            path.display(),
            secret.len()
        )));
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, secret))
}

/// What comes before a key of 32 bytes.
const ED25519: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// What comes before a point of 65 bytes.
const P256: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// Between the length of the whole and that of a key.
const RSA: &[u8] = &[
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00, 0x03,
    0x82,
];
/// A key of 2,048 bits: shorter ones are broken.
const RSA_BYTES_MIN: usize = 270;

impl PublicKey {
    fn load(path: &Path) -> Result<Self> {
        let unusable = |why: String| Failure::usage(format!("{}: {why}", path.display()));
        let bytes = std::fs::read(path).map_err(|e| Failure::io(path.display(), &e))?;
        let der = SubjectPublicKeyInfoDer::from_pem_slice(&bytes)
            .map_err(|e| unusable(format!("not a public key in PEM (BEGIN PUBLIC KEY): {e}")))?;
        PublicKey::of(&der).ok_or_else(|| {
            unusable("expected an Ed25519, a P-256 or an RSA key of 2,048 bits or more".to_owned())
        })
    }

    /// The three kinds differ in what stands before the key (RFC 5280, 8410, 5480).
    fn of(der: &[u8]) -> Option<Self> {
        let (algorithm, verification, key): (_, &'static dyn signature::VerificationAlgorithm, _) =
            if let Some(key) = der.strip_prefix(ED25519).filter(|key| key.len() == 32) {
                ("EdDSA", &signature::ED25519, key)
            } else if let Some(key) = der.strip_prefix(P256).filter(|key| key.len() == 65) {
                ("ES256", &signature::ECDSA_P256_SHA256_FIXED, key)
            } else {
                // Two bytes each for the lengths, and one that says that no bits are unused.
                let (_, rest) = der.strip_prefix(&[0x30, 0x82])?.split_at_checked(2)?;
                let (_, rest) = rest.strip_prefix(RSA)?.split_at_checked(2)?;
                let key = rest.strip_prefix(&[0])?;
                if key.len() < RSA_BYTES_MIN {
                    return None;
                }
                ("RS256", &signature::RSA_PKCS1_2048_8192_SHA256, key)
            };
        let key = signature::UnparsedPublicKey::new(verification, key.to_vec());
        Some(PublicKey { algorithm, key })
    }
}
