//! The locks of the queue. A test puts others in their place; see `queue`.

pub(super) use parking_lot::{Condvar, Mutex};
