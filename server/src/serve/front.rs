//! What every request goes through before its operation, whatever its protocol: a name, a right,
//! a deadline, and at the end a place in the metrics and the log.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, Response, Uri};
use http_body_util::BodyExt;

use super::auth::{Auth, Caller};
use crate::service::{
    Call, Kind, Operation, Permit, Problem, Protocol, RequestId, Right, Rights, Service,
};
use crate::settings::Settings;
use crate::traces::{Parent, Trace, Traces};

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const API_KEY: HeaderName = HeaderName::from_static("api-key");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TIMEOUT_MS: HeaderName = HeaderName::from_static("x-timeout-ms");
/// The longest time a request can ask for.
const TIMEOUT_MAX: Duration = Duration::from_secs(3600);

/// The door to the service.
pub(crate) struct Front {
    pub(crate) service: Service,
    /// If there is a collector.
    pub(super) traces: Option<Arc<Traces>>,
    /// Read anew when the keys are.
    auth: RwLock<Arc<Auth>>,
    /// Whether only this machine can connect.
    local: bool,
    timeout: Duration,
    pub(crate) request_bytes_max: usize,
}

/// The address that a request came from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) IpAddr);

impl Peer {
    /// One name for what one client can have: an address, or the half of IPv6 that a site is given.
    fn name(peer: Option<&Peer>) -> Arc<str> {
        match peer.map(|peer| peer.0.to_canonical()) {
            Some(IpAddr::V6(address)) => {
                let [a, b, c, d, ..] = address.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}::/64").into()
            }
            Some(address) => address.to_string().into(),
            None => "unknown".into(),
        }
    }
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
    pub(super) fn new(
        service: Service,
        auth: Auth,
        traces: Option<Arc<Traces>>,
        settings: &Settings,
    ) -> Self {
        Front {
            service,
            traces,
            auth: RwLock::new(Arc::new(auth)),
            local: settings.is_local(),
            timeout: Duration::from_millis(settings.request_timeout_ms),
            request_bytes_max: settings.request_bytes_max,
        }
    }

    /// The door as the settings alone make it, without traces.
    pub(crate) fn open(service: Service, settings: &Settings) -> crate::failure::Result<Self> {
        Ok(Front::new(service, Auth::load(settings)?, None, settings))
    }

    /// Puts other keys in the place of those there are.
    pub(super) fn replace_auth(&self, auth: Auth) {
        *self.auth.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(auth);
    }

    fn auth(&self) -> Arc<Auth> {
        Arc::clone(&self.auth.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at the head of a request.
    pub(crate) fn guard(
        &self,
        protocol: Protocol,
        operation: Operation,
        access: Access,
        uri: &Uri,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Guarded {
        let started = Instant::now();
        let given = text(headers, &REQUEST_ID).and_then(RequestId::given);
        let request_id = given.unwrap_or_else(RequestId::new);
        let span = tracing::info_span!(
            "request",
            id = %request_id,
            protocol = protocol.name(),
            operation = operation.name(),
            client = tracing::field::Empty,
            trace_id = tracing::field::Empty,
        );
        let parent = text(headers, &TRACEPARENT).and_then(Parent::read);
        let trace = self.traces.as_ref().and_then(|traces| traces.begin(parent.as_ref()));
        let in_trace = parent.map(|parent| parent.trace_id());
        if let Some(id) = in_trace.or_else(|| trace.as_ref().map(Trace::id)) {
            span.record("trace_id", id);
        }
        let given = timeout(protocol, headers);
        let timeout = *given.as_ref().ok().and_then(Option::as_ref).unwrap_or(&self.timeout);
        let mut call = Call {
            operation,
            deadline: started + timeout,
            timeout,
            request_id,
            span,
            trace: trace.map(Arc::new),
            rights: Arc::default(),
            follows: false,
            permit: None,
        };
        let let_in = self.let_in(operation, access, uri, headers, extensions, &call.span);
        let refused = match let_in {
            Ok((rights, permit)) => {
                (call.rights, call.permit) = (rights, permit);
                given.err().or_else(|| self.service.check_turn(operation, call.deadline).err())
            }
            Err(problem) => Some(problem),
        };
        Guarded { call, refused, started }
    }

    /// What a request may do, and its place.
    fn let_in(
        &self,
        operation: Operation,
        access: Access,
        uri: &Uri,
        headers: &HeaderMap,
        extensions: &Extensions,
        span: &tracing::Span,
    ) -> Result<(Arc<Rights>, Option<Arc<Permit>>), Problem> {
        let auth = self.auth();
        check_origin(headers, uri, auth.any(), self.local)?;
        if access == Access::Open {
            return Ok((Arc::new(Rights::on_all(Right::Read)), None));
        }
        let Caller { name, rights } = auth.caller(key(headers))?;
        let name = name.unwrap_or_else(|| Peer::name(extensions.get()));
        span.record("client", &*name);
        rights.check_any(operation)?;
        let permit = self.service.clients.enter(&name)?;
        Ok((rights, permit.map(Arc::new)))
    }

    /// The body of a request, whose bytes count for the caller.
    pub(crate) fn metered(&self, call: &Call, body: Body) -> Body {
        let Some(permit) = call.permit.clone() else { return body };
        Body::new(body.map_frame(move |frame| {
            permit.charge(frame.data_ref().map_or(0, |data| data.len()));
            frame
        }))
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
        if let Some(trace) = &call.trace {
            let attributes = vec![
                ("vecstore.protocol", protocol.name().to_owned()),
                ("vecstore.request_id", call.request_id.to_string()),
            ];
            trace.end(call.operation.name(), outcome.err().map(Kind::name), attributes);
        }
        let _entered = call.span.enter();
        let ms = took.as_secs_f64() * 1e3;
        match outcome {
            Err(kind) if kind.codes().0 == 500 => tracing::error!(outcome = name, ms, "answered"),
            _ => tracing::debug!(outcome = name, ms, "answered"),
        }
        if let Ok(mut id) = HeaderValue::from_str(call.request_id.as_str()) {
            // It comes once: HTTP/2 need not remember it for the next answers.
            id.set_sensitive(true);
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
        Protocol::Grpc | Protocol::QdrantGrpc => GRPC_TIMEOUT,
    };
    let Some(value) = headers.get(&name) else { return Ok(None) };
    let wrong = || {
        let message = format!("the header `{name}` is not a time this server understands");
        Problem::invalid(name.as_str(), message)
    };
    let text = value.to_str().map_err(|_| wrong())?;
    let (digits, unit_us) = match protocol {
        Protocol::Http | Protocol::Qdrant => (text, 1e3),
        Protocol::Grpc | Protocol::QdrantGrpc => {
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

/// Keeps pages of other sites from using a server through the browser of somebody who can reach
/// it. A request of another origin is refused. Where there are no keys, so is one that names a host
/// that is not this machine: a page whose own name was made to lead here (DNS rebinding) is of the
/// same origin, and does not always say so. A browser sends no key unasked, so with keys only the
/// origin counts.
fn check_origin(headers: &HeaderMap, uri: &Uri, keys: bool, local: bool) -> Result<(), Problem> {
    let host = uri.authority().map(|a| a.as_str()).or_else(|| text(headers, &HOST));
    let refused = |message| Err(Problem::new(Kind::PermissionDenied, message));
    let own = || host.is_some_and(|host| is_own(name_of(host)));
    if let Some(origin) = headers.get(ORIGIN) {
        let message = "requests of web pages from other origins are not allowed";
        let origin_host = origin
            .to_str()
            .ok()
            .and_then(|o| Some(o.split_once("://")?.1))
            .filter(|o| !o.is_empty());
        if origin_host.is_none() || origin_host != host || !(keys || own()) {
            return refused(message);
        }
    }
    if local && !keys && host.is_some() && !own() {
        return refused(
            "this server has no keys and answers to localhost and addresses only: use one of \
             them instead of a name, or set a key",
        );
    }
    Ok(())
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    host.rsplit_once(':').map_or(host, |(name, port)| {
        // An IPv6 address without a port has colons too.
        if port.bytes().all(|b| b.is_ascii_digit()) { name } else { host }
    })
}

/// Whether nobody else can make this name lead here.
fn is_own(name: &str) -> bool {
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
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
            check_origin(&headers, &Uri::from_static("/"), keys, false).is_ok()
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
    fn names_that_others_can_make_lead_here_are_refused() {
        let check = |host: &str, keys: bool, local: bool| {
            let headers = headers(&[("host", host)]);
            check_origin(&headers, &Uri::from_static("/"), keys, local).is_ok()
        };
        for own in ["localhost:6333", "LOCALHOST", "127.0.0.1", "[::1]:6333", "10.0.0.7:80"] {
            assert!(check(own, false, true), "{own}");
        }
        for other in ["evil.example:6333", "evil.example", "localhost.evil.example", ""] {
            assert!(!check(other, false, true), "{other}");
            assert!(check(other, true, true), "{other}: a page has no key");
            assert!(check(other, false, false), "{other}: others can connect, and may use names");
        }
    }

    #[test]
    fn keys_come_in_two_headers() {
        assert_eq!(key(&headers(&[("authorization", "Bearer abc")])), Some("abc"));
        assert_eq!(key(&headers(&[("authorization", "bearer abc")])), Some("abc"));
        assert_eq!(key(&headers(&[("authorization", "Basic abc"), ("api-key", "k")])), Some("k"));
        assert_eq!(key(&headers(&[])), None);
    }
}
