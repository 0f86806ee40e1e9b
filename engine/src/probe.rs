//! Named moments in the life of a database, for tests that end the process or look around there.

use std::fmt;
use std::sync::Arc;

/// Called with the name of each moment that is reached.
pub type OnReached = dyn Fn(&str) + Send + Sync;

/// Tells a test, if there is one, what was reached.
#[derive(Clone, Default)]
pub(crate) struct Probe(Option<Arc<OnReached>>);

impl Probe {
    pub(crate) fn new(on_reached: Arc<OnReached>) -> Self {
        Probe(Some(on_reached))
    }

    pub(crate) fn reached(&self, moment: &str) {
        if let Some(on_reached) = &self.0 {
            on_reached(moment);
        }
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Probe({})", if self.0.is_some() { "set" } else { "none" })
    }
}
