//! A disk whose every write and flush is written down, under a real file system.
//!
//! `fuse` shows the disk as a file, a loop device makes a block device of it, and what is mounted from
//! there writes as it would to any disk. From the record the disk of any moment can be made, as a power
//! cut may leave it: what was written before the last flush is there, and of what came after it any part,
//! down to sectors, in any order.

mod disk;
mod fuse;

pub use disk::{Disk, Event, Part, SECTOR};
pub use fuse::{Recorder, ShownDisk};
