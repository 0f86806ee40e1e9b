//! Settings of the server: one table, four places they can come from.
//!
//! A flag counts most, then the environment (`VECSTORE_` and the name in capitals), then the file
//! (TOML, one key a setting), then the default. `vecstore config` prints each with its place. Keys
//! with rights of their own are in the file only.

mod keys;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::failure::{Failure, Result};
use crate::traces::Endpoint;
pub(crate) use keys::{EntryRight, KeyEntry};

/// The prefix of variables of the environment.
const PREFIX: &str = "VECSTORE_";

macro_rules! settings {
    (
        $( $(#[doc = $doc:literal])+ $name:ident: $type:ty = $default:expr; )*
        switches: $( $(#[doc = $switch_doc:literal])+ $switch:ident; )*
    ) => {
        /// The settings in force.
        #[derive(Clone, Debug)]
        pub(crate) struct Settings {
            $( $(#[doc = $doc])+ pub(crate) $name: $type, )*
            $( $(#[doc = $switch_doc])+ pub(crate) $switch: bool, )*
            /// Keys with rights of their own.
            pub(crate) keys: Vec<KeyEntry>,
            file: Option<PathBuf>,
        }

        /// The settings as flags.
        #[derive(Debug, Default, clap::Args)]
        pub(crate) struct Flags {
            /// A file with settings: TOML, the names of the flags with `_` for `-`
            #[arg(long, value_name = "FILE")]
            pub(crate) config: Option<PathBuf>,
            $( $(#[doc = $doc])+ #[arg(long, value_name = "VALUE")] $name: Option<String>, )*
            $( $(#[doc = $switch_doc])+ #[arg(long)] $switch: bool, )*
        }

        impl Flags {
            /// The value of a flag, if it was given.
            fn given(&self, name: &str) -> Option<String> {
                match name {
                    $( stringify!($name) => self.$name.clone(), )*
                    $( stringify!($switch) => self.$switch.then(|| "true".to_owned()), )*
                    _ => None,
                }
            }
        }

        const NAMES: &[&str] = &[$( stringify!($name), )* $( stringify!($switch), )*];

        impl Settings {
            fn from(
                sources: &Sources<'_>,
                keys: Vec<KeyEntry>,
                file: Option<PathBuf>,
                shown: &mut Vec<Shown>,
            ) -> Result<Self> {
                Ok(Settings {
                    keys,
                    file,
                    $( $name: sources.read(stringify!($name), $default, shown)?, )*
                    $( $switch: sources.read(stringify!($switch), "false", shown)?, )*
                })
            }
        }
    };
}

settings! {
    /// Address for HTTP, or `off`
    http: Listen = "127.0.0.1:6333";
    /// Address for gRPC, or `off`
    grpc: Listen = "127.0.0.1:6334";
    /// Key that allows everything; better in a file or the environment than on a command line
    api_key: Maybe<Secret> = "";
    /// Key that allows reading
    read_only_api_key: Maybe<Secret> = "";
    /// File with a key a line: `read-write KEY` or `read-only KEY`
    api_key_file: Maybe<PathBuf> = "";
    /// File with the certificate chain (PEM); with tls_key, both protocols are encrypted
    tls_cert: Maybe<PathBuf> = "";
    /// File with the private key (PEM)
    tls_key: Maybe<PathBuf> = "";
    /// File with certificates (PEM); only clients with one that they signed may connect
    tls_client_ca: Maybe<PathBuf> = "";
    /// File with the secret that tokens are signed with (JWT, HS256)
    jwt_secret_file: Maybe<PathBuf> = "";
    /// File with the public key that tokens are verified with (PEM; JWT, RS256, ES256 or EdDSA)
    jwt_public_key_file: Maybe<PathBuf> = "";
    /// What a token has to name in its claim `aud`; without it, none is asked for
    jwt_audience: Maybe<String> = "";
    /// Reads that run at a time, and threads that build segments; 0: one a core
    threads: usize = "0";
    /// Writes that run at a time; they wait for the disk, and one sync serves all of them
    write_slots: usize = "32";
    /// Requests that may wait for a slot, reads and writes apart
    waiting_max: usize = "1024";
    /// How long a request may be expected to wait for a slot before it is refused
    wait_ms_max: u64 = "1000";
    /// Time for a request that does not bring its own
    request_timeout_ms: u64 = "30000";
    /// Bytes of a request; a line of a stream counts as one
    request_bytes_max: usize = "100663296";
    /// Open connections
    connections_max: usize = "4096";
    /// Requests a second of one client (key, subject of a token, or address); 0: any number
    client_requests_per_s: u32 = "0";
    /// Requests at a time of one client; 0: any number
    client_concurrent_max: u32 = "0";
    /// Bytes of requests a second of one client; 0: any number
    client_bytes_per_s: u64 = "0";
    /// Requests a second to one namespace; 0: any number
    namespace_requests_per_s: u32 = "0";
    /// Requests at a time to one namespace; 0: any number
    namespace_concurrent_max: u32 = "0";
    /// How long a connection may say nothing, or take nothing
    idle_timeout_ms: u64 = "60000";
    /// How long the end may take: answering what is in flight, and sealing what is in memory
    drain_ms_max: u64 = "30000";
    /// When a write counts as done: `sync`, `none`, or milliseconds between syncs
    durability: Durability = "sync";
    /// Bytes of records in memory at which a segment is made of them
    memtable_bytes_max: usize = "33554432";
    /// Bytes of memory that may be held for records that are in no segment yet, 64 MiB or more; empty:
    /// any number
    memory_limit: Maybe<u64> = "";
    /// Bytes a second at which segments are read again and compared with their checksums; 0: never
    scrub_bytes_per_s: u64 = "4194304";
    /// Queries that take longer are logged with their plan; 0: none
    slow_query_ms: u64 = "0";
    /// Of so many queries one is answered again exactly, in the background, to observe recall; 0: none
    recall_sample_every: u64 = "0";
    /// Collector of traces (OpenTelemetry, OTLP over gRPC), such as http://127.0.0.1:4317
    otlp_endpoint: Maybe<Endpoint> = "";
    /// Of so many requests that belong to no trace one begins its own; 0: none
    otlp_sample_every: u64 = "1";
    /// `text` or `json`
    log_format: LogFormat = "text";
    /// `error`, `warn`, `info`, `debug` or `trace`
    log_level: LogLevel = "info";
    switches:
    /// Listen on an address that others can reach although no key is set
    allow_unauthenticated;
}

/// A setting, its value and where that comes from.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Shown {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    /// `default`, the file, the variable or the flag.
    pub(crate) origin: String,
}

struct Sources<'a> {
    flags: &'a Flags,
    environment: &'a BTreeMap<String, String>,
    file: BTreeMap<String, String>,
    file_name: String,
}

impl Sources<'_> {
    fn find(&self, name: &'static str, default: &str) -> (String, String) {
        if let Some(value) = self.flags.given(name) {
            return (value, format!("--{}", name.replace('_', "-")));
        }
        let variable = format!("{PREFIX}{}", name.to_ascii_uppercase());
        if let Some(value) = self.environment.get(&variable) {
            return (value.clone(), variable);
        }
        match self.file.get(name) {
            Some(value) => (value.clone(), self.file_name.clone()),
            None => (default.to_owned(), "default".to_owned()),
        }
    }

    fn read<T: Setting>(
        &self,
        name: &'static str,
        default: &str,
        shown: &mut Vec<Shown>,
    ) -> Result<T> {
        let (text, origin) = self.find(name, default);
        let value = T::read(&text)
            .map_err(|problem| Failure::usage(format!("setting `{name}` ({origin}): {problem}")))?;
        shown.push(Shown { name, value: value.show(), origin });
        Ok(value)
    }
}

/// A type of setting.
trait Setting: Sized {
    fn read(text: &str) -> std::result::Result<Self, String>;
    fn show(&self) -> String;
}

/// All settings, and each with its place. `environment` has the variables that begin with
/// `VECSTORE_`; those that are no settings are left alone, they may belong to others.
pub(crate) fn load(
    flags: &Flags,
    environment: &BTreeMap<String, String>,
) -> Result<(Settings, Vec<Shown>)> {
    let named = environment.get("VECSTORE_CONFIG").map(PathBuf::from);
    let path = flags.config.clone().or(named);
    let (file, keys, file_name) = match &path {
        Some(path) => {
            let (values, keys) = read_file(path)?;
            (values, keys, path.display().to_string())
        }
        None => (BTreeMap::new(), Vec::new(), String::new()),
    };
    let sources = Sources { flags, environment, file, file_name };
    let mut shown = Vec::new();
    let settings = Settings::from(&sources, keys, path, &mut shown)?;
    let names: Vec<&str> = settings.keys.iter().map(|key| key.name.as_str()).collect();
    let origin = if names.is_empty() { "default" } else { &sources.file_name };
    shown.push(Shown { name: "keys", value: names.join(", "), origin: origin.to_owned() });
    settings.check()?;
    Ok((settings, shown))
}

/// The variables of this process that may be settings.
pub(crate) fn environment() -> BTreeMap<String, String> {
    std::env::vars().filter(|(name, _)| name.starts_with(PREFIX)).collect()
}

/// The settings of a file, and its keys.
fn read_file(path: &Path) -> Result<(BTreeMap<String, String>, Vec<KeyEntry>)> {
    let text = std::fs::read_to_string(path).map_err(|e| Failure::io(path.display(), &e))?;
    let table: toml::Table = text.parse().map_err(|e| not_toml(path, &text, &e))?;
    let mut values = BTreeMap::new();
    let mut entries = Vec::new();
    for (name, value) in table {
        if name == "keys" {
            entries = keys::read(value)
                .map_err(|e| Failure::usage(format!("{}: {e}", path.display())))?;
            continue;
        }
        if !NAMES.contains(&name.as_str()) {
            return Err(Failure::usage(format!(
                "{}: there is no setting `{name}`; there are: {}, keys",
                path.display(),
                NAMES.join(", ")
            )));
        }
        let value = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(on) => on.to_string(),
            other => {
                return Err(Failure::usage(format!(
                    "{}: setting `{name}` is {}, expected a string, an integer or a boolean",
                    path.display(),
                    other.type_str()
                )));
            }
        };
        values.insert(name, value);
    }
    Ok((values, entries))
}

/// Without the line itself, which may have a key in it.
fn not_toml(path: &Path, text: &str, error: &toml::de::Error) -> Failure {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or("");
    let line = before.matches('\n').count() + 1;
    Failure::usage(format!("{} line {line}: {}", path.display(), error.message()))
}

impl Settings {
    /// The same settings with the keys that the file has now.
    pub(crate) fn with_keys_read_again(&self) -> Result<Self> {
        let keys = match &self.file {
            Some(path) => read_file(path)?.1,
            None => Vec::new(),
        };
        Ok(Settings { keys, ..self.clone() })
    }

    fn check(&self) -> Result<()> {
        let usage = |problem: String| Err(Failure::usage(problem));
        if self.http == Listen::Off && self.grpc == Listen::Off {
            return usage("`http` and `grpc` are both off: there is nothing to serve".to_owned());
        }
        if self.tls_cert.0.is_some() != self.tls_key.0.is_some() {
            return usage("`tls_cert` and `tls_key` belong together; give both".to_owned());
        }
        if self.tls_client_ca.0.is_some() && self.tls_cert.0.is_none() {
            return usage("`tls_client_ca` needs `tls_cert` and `tls_key`".to_owned());
        }
        for (name, value) in [
            ("write_slots", self.write_slots),
            ("waiting_max", self.waiting_max),
            ("request_bytes_max", self.request_bytes_max),
            ("connections_max", self.connections_max),
        ] {
            // The upper bound is that of a semaphore.
            if value == 0 || value > 1 << 40 {
                return usage(format!("setting `{name}`: {value} is not allowed"));
            }
        }
        if self.write_slots > 1024 || self.threads > 1024 {
            return usage("settings `threads` and `write_slots`: at most 1024 each".to_owned());
        }
        if self.request_timeout_ms == 0 || self.idle_timeout_ms == 0 {
            return usage(
                "settings `request_timeout_ms`, `idle_timeout_ms`: 0 is no time".to_owned(),
            );
        }
        Ok(())
    }

    /// Whether only this machine can connect.
    pub(crate) fn is_local(&self) -> bool {
        [self.http, self.grpc].iter().all(|listen| match listen {
            Listen::Off => true,
            Listen::At(address) => address.ip().is_loopback(),
        })
    }

    /// Reads that run at a time.
    pub(crate) fn read_slots(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }
}

/// Where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listen {
    Off,
    At(SocketAddr),
}

impl Setting for Listen {
    fn read(text: &str) -> std::result::Result<Self, String> {
        match text {
            "off" => Ok(Listen::Off),
            _ => text.parse().map(Listen::At).map_err(|_| {
                format!("`{text}` is not an address such as 127.0.0.1:6333, and not `off`")
            }),
        }
    }

    fn show(&self) -> String {
        match self {
            Listen::Off => "off".to_owned(),
            Listen::At(address) => address.to_string(),
        }
    }
}

/// A setting that may be left out: the empty text.
#[derive(Clone, Debug)]
pub(crate) struct Maybe<T>(pub(crate) Option<T>);

impl<T: Setting> Setting for Maybe<T> {
    fn read(text: &str) -> std::result::Result<Self, String> {
        if text.is_empty() {
            Ok(Maybe(None))
        } else {
            T::read(text).map(|value| Maybe(Some(value)))
        }
    }

    fn show(&self) -> String {
        self.0.as_ref().map_or_else(String::new, T::show)
    }
}

/// Text that is never shown.
#[derive(Clone)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl Setting for Secret {
    fn read(text: &str) -> std::result::Result<Self, String> {
        Ok(Secret(text.to_owned()))
    }

    fn show(&self) -> String {
        "(secret)".to_owned()
    }
}

impl Setting for Endpoint {
    fn read(text: &str) -> std::result::Result<Self, String> {
        Endpoint::read(text)
    }

    fn show(&self) -> String {
        self.uri()
    }
}

/// When a write counts as done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Durability(pub(crate) vecstore::Durability);

impl Setting for Durability {
    fn read(text: &str) -> std::result::Result<Self, String> {
        Ok(Durability(match text {
            "sync" => vecstore::Durability::Sync,
            "none" => vecstore::Durability::None,
            _ => match text.parse() {
                Ok(ms) if ms > 0 => vecstore::Durability::Periodic(Duration::from_millis(ms)),
                _ => return Err(format!("`{text}` is not `sync`, `none` or milliseconds")),
            },
        }))
    }

    fn show(&self) -> String {
        match self.0 {
            vecstore::Durability::Sync => "sync".to_owned(),
            vecstore::Durability::None => "none".to_owned(),
            vecstore::Durability::Periodic(interval) => interval.as_millis().to_string(),
        }
    }
}

/// How the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

impl Setting for LogFormat {
    fn read(text: &str) -> std::result::Result<Self, String> {
        match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err(format!("`{text}` is not `text` or `json`")),
        }
    }

    fn show(&self) -> String {
        match self {
            LogFormat::Text => "text".to_owned(),
            LogFormat::Json => "json".to_owned(),
        }
    }
}

/// How much is logged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogLevel(pub(crate) tracing::Level);

impl Setting for LogLevel {
    fn read(text: &str) -> std::result::Result<Self, String> {
        let names = ["error", "warn", "info", "debug", "trace"];
        match text.parse() {
            Ok(level) if names.contains(&text) => Ok(LogLevel(level)),
            _ => Err(format!("`{text}` is not one of {}", names.join(", "))),
        }
    }

    fn show(&self) -> String {
        self.0.to_string().to_lowercase()
    }
}

macro_rules! plain {
    ($($type:ty: $what:literal),*) => {$(
        impl Setting for $type {
            fn read(text: &str) -> std::result::Result<Self, String> {
                text.parse().map_err(|_| format!(concat!("`{}` is not ", $what), text))
            }

            fn show(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
plain!(u32: "a number from 0", usize: "a number from 0", u64: "a number from 0", bool: "`true` or `false`");

impl Setting for String {
    fn read(text: &str) -> std::result::Result<Self, String> {
        Ok(text.to_owned())
    }

    fn show(&self) -> String {
        self.clone()
    }
}

impl Setting for PathBuf {
    fn read(text: &str) -> std::result::Result<Self, String> {
        Ok(PathBuf::from(text))
    }

    fn show(&self) -> String {
        self.display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(
        file: Option<&str>,
        environment: &[(&str, &str)],
        flags: Flags,
    ) -> Result<(Settings, Vec<Shown>)> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vecstore.toml");
        let flags = match file {
            Some(text) => {
                std::fs::write(&path, text).unwrap();
                Flags { config: Some(path), ..flags }
            }
            None => flags,
        };
        let environment = environment.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
        load(&flags, &environment)
    }

    #[test]
    fn the_nearest_source_counts_and_is_shown() {
        let flags = || Flags { threads: Some("4".to_owned()), ..Flags::default() };
        let environment = [("VECSTORE_THREADS", "3"), ("VECSTORE_WAIT_MS_MAX", "30")];
        let file = "threads = 2\nwait_ms_max = 20\nwaiting_max = 7\napi_key = \"k\"";
        let (settings, shown) = sources(Some(file), &environment, flags()).unwrap();
        assert_eq!((settings.threads, settings.wait_ms_max, settings.waiting_max), (4, 30, 7));
        let of = |name: &str| shown.iter().find(|s| s.name == name).unwrap();
        assert_eq!(
            (of("threads").value.as_str(), of("threads").origin.as_str()),
            ("4", "--threads")
        );
        assert_eq!(of("wait_ms_max").origin, "VECSTORE_WAIT_MS_MAX");
        assert!(of("waiting_max").origin.ends_with("vecstore.toml"));
        assert_eq!(of("http").origin, "default");
        assert_eq!(of("api_key").value, "(secret)");
        assert_eq!(shown.len(), NAMES.len() + 1);
    }

    #[test]
    fn what_is_not_a_setting_or_not_a_value_is_refused() {
        for (file, message) in [
            ("treads = 2", "there is no setting `treads`"),
            ("threads = 1.5", "setting `threads` is float"),
            ("threads = \"many\"", "`many` is not a number"),
            ("http = \"localhost\"", "not an address"),
            ("http = \"off\"\ngrpc = \"off\"", "nothing to serve"),
            ("tls_cert = \"c.pem\"", "belong together"),
            ("waiting_max = 0", "`waiting_max`: 0 is not allowed"),
            ("durability = \"soon\"", "`soon` is not `sync`"),
            ("threads", "expected"),
        ] {
            let error = sources(Some(file), &[], Flags::default()).unwrap_err().to_string();
            assert!(error.contains(message), "{file}: {error}");
        }
        let error = sources(None, &[("VECSTORE_THREADS", "x")], Flags::default()).unwrap_err();
        assert!(error.to_string().contains("(VECSTORE_THREADS)"), "{error}");
    }
}
