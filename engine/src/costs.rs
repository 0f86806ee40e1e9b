//! What the steps of a plan cost on this machine.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use vecstore_query::Costs;

/// Measured in this process, by the length of vectors.
static MEASURED: Mutex<BTreeMap<usize, Costs>> = Mutex::new(BTreeMap::new());

/// Measures if nobody has; whoever measures is waited for.
fn measured(dim: usize) -> Costs {
    *MEASURED.lock().entry(dim).or_insert_with(|| Costs::measure(dim))
}

/// Costs for the vectors of a collection, measured when the process first needs them for their length.
#[derive(Debug)]
pub(crate) struct MachineCosts {
    dim: usize,
    /// Until they are measured.
    expected: Costs,
    /// Every query reads them, and none waits for another.
    measured: OnceLock<Costs>,
    /// Somebody measures them.
    begun: AtomicBool,
}

impl MachineCosts {
    pub(crate) fn new(dim: usize) -> Self {
        MachineCosts {
            dim,
            expected: Costs::default().scaled(dim),
            measured: OnceLock::new(),
            begun: AtomicBool::new(false),
        }
    }

    /// As measured; whoever is the first waits for that.
    pub(crate) fn measured(&self) -> &Costs {
        self.measured.get_or_init(|| measured(self.dim))
    }

    /// Those of a usual machine until they are measured, which the first who asks has a thread do.
    pub(crate) fn known(&self) -> &Costs {
        if let Some(costs) = self.measured.get() {
            return costs;
        }
        // Locked while they are measured.
        let known = MEASURED.try_lock().and_then(|all| all.get(&self.dim).copied());
        if let Some(costs) = known {
            return self.measured.get_or_init(|| costs);
        }
        if self.begun.swap(true, Ordering::Relaxed) {
            return &self.expected;
        }
        // Nobody waits for it, not even the end of the process: it has nothing but the number.
        let dim = self.dim;
        let thread = std::thread::Builder::new().name("vecstore-measure".to_owned());
        match thread.spawn(move || measured(dim)) {
            Ok(_) => &self.expected,
            Err(_) => self.measured(),
        }
    }
}
