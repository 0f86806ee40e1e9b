//! Connections: accepted up to a number, encrypted if wanted, cut off when idle, ended gently.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower::ServiceExt;

use super::front::Peer;
use super::patient::Patient;
use super::tls::Acceptor;
use crate::service::{Metrics, Service};
use crate::settings::Settings;

/// How long an encrypted connection may take to be established.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// After a failure to accept, mostly for lack of file descriptors.
const REST: Duration = Duration::from_millis(50);
/// Requests at a time on one HTTP/2 connection.
const STREAMS_MAX: u32 = 256;
const HEADER_BYTES_MAX: u32 = 32 << 10;

/// What connections have in common.
pub(super) struct Connections {
    builder: Builder<TokioExecutor>,
    tls: Option<Acceptor>,
    free: Arc<Semaphore>,
    idle: Duration,
    metrics: Arc<Metrics>,
    stopped: watch::Receiver<bool>,
}

impl Connections {
    pub(super) fn new(
        settings: &Settings,
        tls: Option<Acceptor>,
        service: &Service,
        stopped: watch::Receiver<bool>,
    ) -> Arc<Self> {
        let idle = Duration::from_millis(settings.idle_timeout_ms);
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(idle);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(idle)
            .keep_alive_timeout(idle)
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(HEADER_BYTES_MAX)
            // Vectors come in batches; the default of 64 KiB would wait for the peer too often.
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20);
        Arc::new(Connections {
            builder,
            tls,
            free: Arc::new(Semaphore::new(settings.connections_max)),
            idle,
            metrics: Arc::clone(&service.metrics),
            stopped,
        })
    }

    /// Accepts until it is time to stop, then waits for the connections that are open.
    pub(super) async fn accept(self: Arc<Self>, listener: TcpListener, router: Router) {
        let mut open = JoinSet::new();
        let mut stopped = self.stopped.clone();
        loop {
            // A connection too many waits in the queue of the operating system.
            let next = async {
                let free = Arc::clone(&self.free).acquire_owned().await;
                (free, listener.accept().await)
            };
            let (free, accepted) = tokio::select! {
                _ = stopped.wait_for(|&stop| stop) => break,
                next = next => next,
                // Ended ones are collected so that they do not pile up.
                Some(_) = open.join_next() => continue,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let (connections, router) = (Arc::clone(&self), router.clone());
                    open.spawn(async move {
                        let _counted = connections.metrics.connection();
                        connections.serve(stream, Peer(peer.ip()), router).await;
                        drop(free);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(REST).await;
                }
            }
        }
        drop(listener);
        while open.join_next().await.is_some() {}
    }

    async fn serve(&self, stream: TcpStream, peer: Peer, router: Router) {
        // Answers are written whole; waiting for more to send would only delay them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY");
        }
        match &self.tls {
            None => self.talk(stream, peer, router).await,
            Some(tls) => {
                let tls = tls.borrow().clone();
                match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                    Ok(Ok(stream)) => self.talk(stream, peer, router).await,
                    Ok(Err(error)) => tracing::debug!(%error, peer = %peer.0, "TLS handshake"),
                    Err(_) => tracing::debug!(peer = %peer.0, "TLS handshake took too long"),
                }
            }
        }
    }

    async fn talk(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
        router: Router,
    ) {
        let io = TokioIo::new(Patient::new(stream, self.idle));
        let service = router.map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            request
        });
        let talk = self.builder.serve_connection(io, TowerToHyperService::new(service));
        tokio::pin!(talk);
        let mut stopped = self.stopped.clone();
        let ended = tokio::select! {
            result = talk.as_mut() => Some(result),
            // The sender lives as long as the server.
            _ = stopped.wait_for(|&stop| stop) => None,
        };
        let result = match ended {
            Some(result) => result,
            None => {
                talk.as_mut().graceful_shutdown();
                talk.await
            }
        };
        if let Err(error) = result {
            tracing::debug!(%error, "a connection ended");
        }
    }
}
