//! How long a step took, for EXPLAIN and for calibration; no decision of a query depends on it.

/// Runs from `start`. Where the platform has no clock (bare wasm) every step takes 0 µs.
#[derive(Clone, Copy)]
pub(crate) struct Stopwatch {
    #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
    started: std::time::Instant,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Stopwatch {
            #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
            started: std::time::Instant::now(),
        }
    }

    /// Microseconds since `start`.
    pub(crate) fn us(self) -> f64 {
        #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
        return self.started.elapsed().as_secs_f64() * 1e6;
        #[cfg(all(target_family = "wasm", target_os = "unknown"))]
        return 0.0;
    }
}
