//! What every request goes through before its operation, whatever its protocol: a name, a right,
//! a deadline, and at the end a place in the metrics and the log.

use std::time::{Duration, Instant};

use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, Uri};

use super::auth::Keys;
use crate::service::{Call, Kind, Operation, Problem, Protocol, RequestId, Service};
use crate::settings::Settings;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const API_KEY: HeaderName = HeaderName::from_static("api-key");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const TIMEOUT_MS: HeaderName = HeaderName::from_static("x-timeout-ms");
/// The longest time a request can ask for.
const TIMEOUT_MAX: Duration = Duration::from_secs(3600);

/// The door to the service.
pub(crate) struct Front {
    pub(crate) service: Service,
    keys: Keys,
    timeout: Duration,
    pub(crate) request_bytes_max: usize,
}

/// Whether a key is asked for, where there are keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Keyed,
    /// What tells nothing about the data, and what a supervisor asks.
    Open,
}

/// A request that was let in, or was not.
pub(crate) struct Guarded {
    pub(crate) call: Call,
    pub(crate) refused: Option<Problem>,
    started: Instant,
}

impl Front {
    pub(crate) fn new(service: Service, keys: Keys, settings: &Settings) -> Self {
        Front {
            service,
            keys,
            timeout: Duration::from_millis(settings.request_timeout_ms),
            request_bytes_max: settings.request_bytes_max,
        }
    }

    /// Looks at the head of a request.
    pub(crate) fn guard(
        &self,
        protocol: Protocol,
        operation: Operation,
        access: Access,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Guarded {
        let started = Instant::now();
        let given = text(headers, &REQUEST_ID).and_then(RequestId::given);
        let request_id = given.unwrap_or_else(RequestId::new);
        let span = tracing::info_span!(
            "request",
            id = %request_id,
            protocol = protocol.name(),
            operation = operation.name(),
        );
        let timeout = timeout(protocol, headers).map(|given| given.unwrap_or(self.timeout));
        let refused = check_origin(headers, uri, self.keys.any())
            .and_then(|()| match access {
                Access::Open => Ok(()),
                Access::Keyed => self.keys.check(key(headers), operation.right()),
            })
            .err()
            .or(timeout.as_ref().err().cloned());
        let timeout = timeout.unwrap_or(self.timeout);
        let call = Call { operation, deadline: started + timeout, timeout, request_id, span };
        Guarded { call, refused, started }
    }

    /// Notes how a request ended and gives the answer its name.
    pub(crate) fn finish<B>(
        &self,
        protocol: Protocol,
        guarded: &Guarded,
        outcome: Result<(), Kind>,
        response: &mut Response<B>,
    ) {
        let Guarded { call, started, .. } = guarded;
        let took = started.elapsed();
        let name = outcome.err().map_or("ok", Kind::name);
        self.service.metrics.finish(protocol, call.operation, name, took);
        let _entered = call.span.enter();
        let ms = took.as_secs_f64() * 1e3;
        match outcome {
            Err(kind) if kind.codes().0 == 500 => tracing::error!(outcome = name, ms, "answered"),
            _ => tracing::debug!(outcome = name, ms, "answered"),
        }
        if let Ok(id) = HeaderValue::from_str(call.request_id.as_str()) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn key(headers: &HeaderMap) -> Option<&str> {
    let bearer = text(headers, &AUTHORIZATION).and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
    });
    bearer.or_else(|| text(headers, &API_KEY))
}

/// The time that the client gives: `x-timeout-ms`, or `grpc-timeout` (digits and a unit).
fn timeout(protocol: Protocol, headers: &HeaderMap) -> Result<Option<Duration>, Problem> {
    let name = match protocol {
        Protocol::Http | Protocol::Qdrant => TIMEOUT_MS,
        Protocol::Grpc => GRPC_TIMEOUT,
    };
    let Some(value) = headers.get(&name) else { return Ok(None) };
    let wrong = || {
        let message = format!("the header `{name}` is not a time this server understands");
        Problem::invalid(name.as_str(), message)
    };
    let text = value.to_str().map_err(|_| wrong())?;
    let (digits, unit_us) = match protocol {
        Protocol::Http | Protocol::Qdrant => (text, 1e3),
        Protocol::Grpc => {
            let (digits, unit) =
                text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
            let unit_us = match unit {
                "H" => 3600e6,
                "M" => 60e6,
                "S" => 1e6,
                "m" => 1e3,
                "u" => 1.0,
                "n" => 1e-3,
                _ => return Err(wrong()),
            };
            (digits, unit_us)
        }
    };
    let number: u32 = digits.parse().map_err(|_| wrong())?;
    let us = f64::from(number) * unit_us;
    Ok(Some(Duration::from_micros(us as u64).min(TIMEOUT_MAX)))
}

/// Keeps pages of other sites from using a server that needs no key through the browser of
/// somebody who can reach it: a request of another origin is refused, and so is a name that is
/// not this machine's own (DNS rebinding). A key is not sent by a browser unasked, so with keys
/// only the origin counts.
fn check_origin(headers: &HeaderMap, uri: &Uri, keys: bool) -> Result<(), Problem> {
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let refused = || {
        let message = "requests of web pages from other origins are not allowed";
        Err(Problem::new(Kind::PermissionDenied, message))
    };
    let host = uri.authority().map(|a| a.as_str()).or_else(|| text(headers, &HOST));
    let (Ok(origin), Some(host)) = (origin.to_str(), host) else { return refused() };
    let Some((_, origin_host)) = origin.split_once("://") else { return refused() };
    if origin_host != host {
        return refused();
    }
    let name = host.rsplit_once(':').map_or(host, |(name, port)| {
        // An IPv6 address without a port has colons too.
        if port.bytes().all(|b| b.is_ascii_digit()) { name } else { host }
    });
    let address = name.trim_start_matches('[').trim_end_matches(']');
    let own = name == "localhost" || address.parse::<std::net::IpAddr>().is_ok();
    if keys || own { Ok(()) } else { refused() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|&(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn times_are_read() {
        let grpc = |value: &str| timeout(Protocol::Grpc, &headers(&[("grpc-timeout", value)]));
        let http = |value: &str| timeout(Protocol::Http, &headers(&[("x-timeout-ms", value)]));
        assert_eq!(grpc("5S").unwrap(), Some(Duration::from_secs(5)));
        assert_eq!(grpc("250m").unwrap(), Some(Duration::from_millis(250)));
        assert_eq!(grpc("99999999H").unwrap(), Some(TIMEOUT_MAX));
        assert_eq!(http("20").unwrap(), Some(Duration::from_millis(20)));
        assert_eq!(timeout(Protocol::Http, &headers(&[])).unwrap(), None);
        for wrong in ["", "5", "S", "5s", "-5S", "5.5S", "\u{e9}"] {
            assert_eq!(grpc(wrong).unwrap_err().field.as_deref(), Some("grpc-timeout"), "{wrong}");
        }
        assert!(http("1s").is_err());
    }

    #[test]
    fn other_origins_are_refused() {
        let check = |origin: &str, host: &str, keys: bool| {
            let headers = headers(&[("origin", origin), ("host", host)]);
            check_origin(&headers, &Uri::from_static("/"), keys).is_ok()
        };
        assert!(check("http://127.0.0.1:6333", "127.0.0.1:6333", false));
        assert!(check("http://localhost:6333", "localhost:6333", false));
        assert!(check("http://[::1]:6333", "[::1]:6333", false));
        assert!(check("https://db.example", "db.example", true));
        assert!(!check("https://db.example", "db.example", false));
        assert!(!check("http://evil.example", "127.0.0.1:6333", true));
        assert!(!check("null", "127.0.0.1:6333", false));
        assert!(!check("http://127.0.0.1:80", "127.0.0.1:6333", false));
    }

    #[test]
    fn keys_come_in_two_headers() {
        assert_eq!(key(&headers(&[("authorization", "Bearer abc")])), Some("abc"));
        assert_eq!(key(&headers(&[("authorization", "bearer abc")])), Some("abc"));
        assert_eq!(key(&headers(&[("authorization", "Basic abc"), ("api-key", "k")])), Some("k"));
        assert_eq!(key(&headers(&[])), None);
    }
}
