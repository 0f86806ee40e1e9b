//! How fast writers go while segments are built more slowly than records come.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Slows writers down to the speed at which memtables become segments. All of a database go one after
/// the other: what one of them waits the others wait too.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Bytes a second of the flushes so far, the last one for half; 0 before the first.
    flushed_bytes_per_s: AtomicU64,
    /// When the next write may go on.
    next: Mutex<Option<Instant>>,
}

/// The longest that a write waits because of its pace: a large batch after a slow flush is let
/// through, to wait for room with the others.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// Less is put off until it is so much: to sleep for a moment takes longer than the moment.
const WAIT_MIN: Duration = Duration::from_millis(1);
/// Before anything was flushed.
const EXPECTED_BYTES_PER_S: u64 = 32 << 20;

impl Pace {
    /// Notes how long a memtable took to become a segment.
    pub(crate) fn note_flush(&self, bytes: u64, took: Duration) {
        let now = (bytes as f64 / took.as_secs_f64().max(1e-6)) as u64;
        let before = self.flushed_bytes_per_s.load(Ordering::Relaxed);
        let mean = if before == 0 { now } else { before / 2 + now / 2 };
        self.flushed_bytes_per_s.store(mean.max(1), Ordering::Relaxed);
    }

    /// How long it takes until so many bytes are a segment.
    pub(crate) fn flush_takes(&self, bytes: u64) -> Duration {
        Duration::from_secs_f64(bytes as f64 / self.speed() as f64)
    }

    /// How long a write of so many bytes waits. `fill` is how much of the room is taken that is left for
    /// records beyond what is expected: at a half of it writers go as fast as memtables become
    /// segments, at all of it half as fast, at four times as much an eighth as fast.
    pub(super) fn wait(&self, bytes: u64, fill: f64) -> Duration {
        if fill <= 0.0 {
            return Duration::ZERO;
        }
        self.wait_at(Instant::now(), bytes, fill)
    }

    fn wait_at(&self, now: Instant, bytes: u64, fill: f64) -> Duration {
        let mut next = self.next.lock();
        let from = next.filter(|next| *next > now).unwrap_or(now);
        let until = (from + self.share(bytes, fill)).min(now + WAIT_MAX);
        *next = Some(until);
        let wait = until - now;
        if wait < WAIT_MIN { Duration::ZERO } else { wait }
    }

    /// What a write takes of the time.
    fn share(&self, bytes: u64, fill: f64) -> Duration {
        let seconds = bytes as f64 / self.speed() as f64 * 2.0 * fill;
        Duration::from_secs_f64(seconds.min(WAIT_MAX.as_secs_f64()))
    }

    /// Bytes of memtables that become segments in a second.
    fn speed(&self) -> u64 {
        match self.flushed_bytes_per_s.load(Ordering::Relaxed) {
            0 => EXPECTED_BYTES_PER_S,
            measured => measured,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_waits_the_longer_the_less_room_is_left() {
        let pace = Pace::default();
        pace.note_flush(1_000_000, Duration::from_secs(1));
        let ms = |fill| pace.share(100_000, fill).as_millis();
        assert_eq!([0.0, 0.01, 0.25, 0.5, 1.0, 4.0].map(ms), [0, 2, 50, 100, 200, 800]);
        assert_eq!(pace.share(u64::MAX, 1.0), WAIT_MAX);
        pace.note_flush(3_000_000, Duration::from_secs(1));
        assert_eq!(ms(0.5), 50, "two million bytes a second in the mean");
    }

    #[test]
    fn writers_go_one_after_the_other_and_none_waits_long() {
        let pace = Pace::default();
        pace.note_flush(1_000_000, Duration::from_secs(1));
        let now = Instant::now();
        let after = |ms| now + Duration::from_millis(ms);
        let wait = |now, bytes, fill| pace.wait_at(now, bytes, fill).as_millis();
        let at_once: Vec<u128> = (0..22).map(|_| wait(now, 50_000, 0.5)).collect();
        let expected: Vec<u128> = (1..=22).map(|n| (n * 50).min(1_000)).collect();
        assert_eq!(at_once, expected);
        assert_eq!(wait(after(980), 50_000, 0.5), 70, "the others had it for 20 ms more");
        assert_eq!(wait(after(5_000), 50_000, 0.5), 50, "and long none");
        assert_eq!(pace.wait(1 << 40, 0.0), Duration::ZERO, "there is room");
    }

    #[test]
    fn moments_are_put_off_until_they_are_worth_it() {
        let pace = Pace::default();
        pace.note_flush(1_000_000, Duration::from_secs(1));
        let now = Instant::now();
        let waits: Vec<u128> =
            (0..30).map(|_| pace.wait_at(now, 100, 0.5).as_micros() / 100).collect();
        let expected: Vec<u128> = (1..=30).map(|n| if n < 10 { 0 } else { n }).collect();
        assert_eq!(waits, expected, "a tenth of a millisecond each");
    }
}
