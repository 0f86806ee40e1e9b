//! `vecstore serve`: the database over HTTP and gRPC.

use std::path::PathBuf;

use clap::Args;

use crate::failure::Result;
use crate::serve;
use crate::settings::{self, Flags};

/// Serve a database over HTTP and gRPC until SIGTERM or Ctrl-C
///
/// Each setting can be given as a flag, as a variable of the environment (`VECSTORE_HTTP`), or in a
/// file (`--config`, or VECSTORE_CONFIG); `vecstore config` shows what is in force. Addresses of
/// the machine itself need no key; to listen elsewhere, set one.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vecstore serve data\n  VECSTORE_API_KEY=… vecstore serve data --http 0.0.0.0:6333 --tls-cert cert.pem --tls-key key.pem"
)]
pub(crate) struct Serve {
    /// Folder of the database; created if there is none
    dir: PathBuf,
    #[command(flatten)]
    flags: Flags,
}

impl Serve {
    pub(super) fn run(self) -> Result {
        let (settings, _) = settings::load(&self.flags, &settings::environment())?;
        serve::run(&self.dir, settings)
    }
}
