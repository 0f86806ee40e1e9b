//! For this project's own tests, not for use: a database over files and a store that a test
//! watches, cuts off and makes fail, and named moments at which it may end the process. Nothing
//! here is stable.

use std::io;
use std::path::Path;
use std::sync::Arc;

pub use vecstore_segments::{MemVfs, OsVfs, Region, SegmentError, Vfs, VfsFile, write_file};

use crate::database::Ground;
pub use crate::kv::{Batch, CompactError, Kv, MemoryKv, Space, Visit};
pub use crate::probe::OnReached;
use crate::probe::Probe;
use crate::{Database, Error, Options, RepairReport, Result, repair};

/// Opens the database in `root`, a folder of `vfs`, whose log and catalogue are in `kv`. It does
/// nothing of its own accord: the same calls have the same effects.
pub fn open(root: &Path, options: Options, vfs: Arc<dyn Vfs>, kv: Box<dyn Kv>) -> Result<Database> {
    let ground = Ground { background: false, ..Ground::new(None, vfs, kv) };
    Database::start(Some(root), options, ground)
}

/// Like [`Database::open_with`]; `reached` is called with the name of each moment that is reached
/// (see the sources of `install` and `snapshot` for the names).
pub fn open_probed(root: &Path, options: Options, reached: Arc<OnReached>) -> Result<Database> {
    Database::open_folder(root, options, true, Arc::new(OsVfs), Probe::new(reached))
}

/// Like [`Database::repair`], with files that may fail; takes no lock.
pub fn repair_over(vfs: Arc<dyn Vfs>, root: &Path) -> Result<RepairReport> {
    repair::repair(vfs, root)
}

/// The error of a store that could not do `what`.
pub fn store_error(what: &str, error: io::Error) -> Error {
    Error::io(what, error)
}
