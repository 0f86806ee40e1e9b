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
        self.us_until(Stopwatch::start())
    }

    /// Microseconds since the last lap, or `start`; a new lap begins. A read of the clock is a
    /// measurable part of a short query, so that the end of a step is the start of the next one.
    pub(crate) fn lap_us(&mut self) -> f64 {
        let now = Stopwatch::start();
        let us = self.us_until(now);
        *self = now;
        us
    }

    /// Microseconds from this one's start to that of a later one.
    pub(crate) fn us_until(self, later: Stopwatch) -> f64 {
        #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
        return later.started.duration_since(self.started).as_secs_f64() * 1e6;
        #[cfg(all(target_family = "wasm", target_os = "unknown"))]
        return 0.0;
    }
}
