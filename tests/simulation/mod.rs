//! A simulated disk under the whole database: every call is written down, so that a crash can be
//! placed after each of them, and any call can be made to fail.
//!
//! [`disk`] knows what of a sequence of calls a power cut may leave; [`world`] is the file system
//! and the log that the database is opened over; [`script`] is what a history does and what must
//! be there after it.

pub mod disk;
pub mod script;
pub mod world;
