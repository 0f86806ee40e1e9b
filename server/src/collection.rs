//! Opening what a command line names.

use std::path::{Path, PathBuf};

use clap::Args;
use vecstore::{Collection, Database, Options};

use crate::failure::Result;

/// A namespace of a collection of a database.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// Folder of the database
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Name of the collection
    #[arg(value_name = "COLLECTION")]
    pub(crate) collection: String,
    #[command(flatten)]
    pub(crate) namespace: Namespace,
}

/// The part of a collection a command works on.
#[derive(Debug, Args)]
pub(crate) struct Namespace {
    /// Namespace of the collection: its records are apart from those of all others
    #[arg(long = "namespace", value_name = "NAME", default_value = "", hide_default_value = true)]
    pub(crate) name: String,
}

impl Target {
    /// Opens the database, and the namespace in it. The database must exist.
    pub(crate) fn open(&self) -> Result<(Database, Collection)> {
        let db = open(&self.dir)?;
        let collection = db.collection(&self.collection)?.namespace(&self.namespace.name)?;
        Ok((db, collection))
    }
}

/// Opens a database that exists.
pub(crate) fn open(dir: &Path) -> Result<Database> {
    Ok(Database::open_existing(dir, Options::default())?)
}
