//! The life of a server: open, listen, answer, drain, close.

mod auth;
mod connections;
mod front;
mod log;
mod notify;
mod patient;
mod tls;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use vecstore::{Database, Options};

use auth::Auth;
pub(crate) use front::{Access, Front};

use crate::failure::{Failure, Result};
use crate::grpc;
use crate::http;
use crate::service::{Allowance, PoolLimits, Service};
use crate::settings::{Listen, Settings};
use crate::traces::{Export, Traces};
use connections::Connections;
use tls::Tls;

/// Whether requests are wanted: false once the server is to end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readiness(Arc<AtomicBool>);

impl Readiness {
    pub(crate) fn is_ready(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Relaxed);
    }
}

/// Serves the database in `dir` until the process is told to end.
pub(crate) fn run(dir: &Path, settings: Settings) -> Result {
    let auth = Auth::load(&settings)?;
    check_listening(&settings, &auth)?;
    let tls = Tls::load(&settings)?;
    log::start(&settings);
    let read_slots = settings.read_slots();
    let options = Options {
        durability: settings.durability.0,
        threads: read_slots,
        memtable_bytes_max: settings.memtable_bytes_max,
        // A full memtable must not hold a request much longer than it is waited for.
        busy_timeout: Duration::from_millis(settings.request_timeout_ms),
        scrub_bytes_per_s: settings.scrub_bytes_per_s,
        memory_limit: settings.memory_limit.0,
        ..Options::default()
    };
    let db = Database::open_with(dir, options)?;
    let service = service(db, &settings);
    let collector = settings.otlp_endpoint.0.clone().map(|endpoint| {
        let counts = Arc::clone(&service.metrics.traces);
        Traces::to(endpoint, settings.otlp_sample_every, counts)
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("vecstore-async")
        // Queries take the cores. On two cores, with one worker instead of two a query needs a fifth
        // less of the processor: there is less to wake (`load -- rate`).
        .worker_threads((read_slots / 2).max(1))
        // For workers that have much JSON to read or write; the pool has threads of its own.
        .max_blocking_threads(2 * read_slots + 2)
        .build()
        .map_err(|e| Failure::io("start the runtime", &e))?;
    let ended = runtime.block_on(listen(&service, &settings, auth, tls, collector));
    runtime.shutdown_background();
    // A failure to listen closes the database as well.
    let deadline = *ended.as_ref().unwrap_or(&Instant::now());
    service.close(deadline).map_err(|problem| Failure::from_problem(&problem))?;
    tracing::info!("closed");
    ended.map(drop)
}

/// The operations on a database, within the limits that are set.
pub(crate) fn service(db: Database, settings: &Settings) -> Service {
    let limits = PoolLimits {
        read_slots: settings.read_slots(),
        write_slots: settings.write_slots,
        waiting_max: settings.waiting_max,
        wait_max: Duration::from_millis(settings.wait_ms_max),
    };
    let slow_query = (settings.slow_query_ms > 0).then_some(settings.slow_query_ms);
    let clients = Allowance {
        requests_per_s: settings.client_requests_per_s,
        concurrent_max: settings.client_concurrent_max,
        bytes_per_s: settings.client_bytes_per_s,
    };
    let namespaces = Allowance {
        requests_per_s: settings.namespace_requests_per_s,
        concurrent_max: settings.namespace_concurrent_max,
        bytes_per_s: 0,
    };
    let slow_query = slow_query.map(Duration::from_millis);
    Service::new(db, limits, clients, namespaces, slow_query, settings.recall_sample_every)
}

/// Without a key or certificates of clients only this machine may connect, unless that is wanted.
fn check_listening(settings: &Settings, auth: &Auth) -> Result {
    let known = auth.any() || settings.tls_client_ca.0.is_some();
    if known || settings.allow_unauthenticated {
        return Ok(());
    }
    for (name, listen) in [("http", settings.http), ("grpc", settings.grpc)] {
        if let Listen::At(address) = listen
            && !address.ip().is_loopback()
        {
            return Err(Failure::usage(format!(
                "`{name}` is {address}, which others can reach, and no key is set: set `api_key` \
                 (VECSTORE_API_KEY) or `api_key_file`, listen on 127.0.0.1, or say \
                 --allow-unauthenticated"
            )));
        }
    }
    Ok(())
}

/// Listens until a signal, then drains. Returns when the rest has to be done.
async fn listen(
    service: &Service,
    settings: &Settings,
    auth: Auth,
    tls: Option<Tls>,
    collector: Option<(Arc<Traces>, Export)>,
) -> Result<Instant> {
    let mut terminate = signal(SignalKind::terminate()).map_err(signal_failure)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(signal_failure)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(signal_failure)?;
    let readiness = Readiness::default();
    let (stop, stopped) = watch::channel(false);
    let keys_set = auth.any();
    let (traces, exporting) = match collector {
        Some((traces, export)) => (Some(traces), Some(tokio::spawn(export.run()))),
        None => (None, None),
    };
    let front = Arc::new(Front::new(service.clone(), auth, traces.clone(), settings));
    let acceptor = tls.as_ref().map(Tls::acceptor);
    let encrypted = tls.is_some();
    let connections = Connections::new(settings, acceptor, service, stopped);
    let (reread, asked) = watch::channel(());
    if let Some(tls) = tls {
        tokio::spawn(tls.watch(asked));
    }

    let mut listeners = Vec::new();
    if let Listen::At(address) = settings.http {
        let router = http::router(Arc::clone(&front), readiness.clone());
        listeners.push(("http", bind("http", address).await?, router));
    }
    if let Listen::At(address) = settings.grpc {
        let router = grpc::router(Arc::clone(&front), readiness.clone())?;
        listeners.push(("grpc", bind("grpc", address).await?, router));
    }
    let mut accepting = Vec::new();
    for (name, listener, router) in listeners {
        let address = listener.local_addr().map_err(|e| Failure::io(name, &e))?;
        // The line that programs which start a server wait for.
        tracing::info!(protocol = name, %address, tls = encrypted, keys = keys_set, "listening");
        accepting.push(tokio::spawn(Arc::clone(&connections).accept(listener, router)));
    }
    readiness.set(true);
    notify::ready();

    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => {
                reread_keys(&front, settings);
                // Nobody listens where nothing is encrypted.
                let _ = reread.send(());
            }
        }
    }
    readiness.set(false);
    notify::stopping();
    let deadline = Instant::now() + Duration::from_millis(settings.drain_ms_max);
    tracing::info!("draining: no new connections, answering what is in flight");
    // Ignored only if nobody listens any more.
    let _ = stop.send(true);
    let drain = async {
        for task in accepting {
            // A panic there has been logged.
            let _ = task.await;
        }
    };
    tokio::select! {
        () = drain => {}
        () = tokio::time::sleep_until(deadline.into()) => {
            tracing::warn!("some requests did not end in time; they are cut off");
        }
        _ = terminate.recv() => tracing::warn!("told to end again; not waiting any longer"),
        _ = interrupt.recv() => tracing::warn!("told to end again; not waiting any longer"),
    }
    if let (Some(traces), Some(exporting)) = (traces, exporting) {
        traces.close();
        if tokio::time::timeout_at(deadline.into(), exporting).await.is_err() {
            tracing::warn!("not all traces were exported in time");
        }
    }
    Ok(deadline)
}

/// Takes the keys that the files have now, unless something is wrong with them.
fn reread_keys(front: &Front, settings: &Settings) {
    let read = settings.with_keys_read_again().and_then(|settings| {
        let auth = Auth::load(&settings)?;
        check_listening(&settings, &auth)?;
        Ok(auth)
    });
    match read {
        Ok(auth) => {
            front.replace_auth(auth);
            tracing::info!("the keys were read again");
        }
        Err(error) => tracing::error!(%error, "the keys are not used; the old ones stay in force"),
    }
}

async fn bind(name: &str, address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|e| Failure::io(format_args!("listen on {address} ({name})"), &e))
}

fn signal_failure(error: std::io::Error) -> Failure {
    Failure::io("listen for signals", &error)
}
