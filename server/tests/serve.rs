//! `vecstore serve` as its users have it: the real binary on loopback, over HTTP and gRPC.

#![allow(clippy::unwrap_used, clippy::print_stderr, unreachable_pub, missing_docs)]

mod serve {
    mod browser;
    pub mod faces;
    pub mod http;
    pub mod process;

    mod covered;
    mod example;
    mod interface;
    mod life;
    mod limits;
    mod load;
    mod page;
    mod rights;
    mod security;
    mod streams;
    mod table;
    mod tls;
    mod traces;

    /// A collector's side of OTLP.
    #[allow(clippy::all, clippy::pedantic)]
    pub mod otlp {
        include!(concat!(env!("OUT_DIR"), "/collector/opentelemetry.proto.collector.trace.v1.rs"));
    }

    /// The client's side of `proto/`.
    #[allow(clippy::all, clippy::pedantic)]
    pub mod proto {
        include!(concat!(env!("OUT_DIR"), "/client/vecstore.v1.rs"));
    }

    /// The messages of Qdrant's, of which a few are sent.
    #[allow(dead_code, clippy::all, clippy::pedantic)]
    pub mod qdrant {
        include!(concat!(env!("OUT_DIR"), "/qdrant/qdrant.rs"));
    }
}
