//! Progress of long work on standard error: a bar on a terminal, now and then a line elsewhere,
//! nothing for a program that asked for JSON.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::units;

/// Between two lines where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// Between two redraws of a bar.
const TICK: Duration = Duration::from_millis(120);
/// Steps of a bar.
const STEPS: u64 = 1000;

/// Whether and how progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Show {
    Bar,
    Lines,
    Nothing,
}

/// Progress of one piece of work.
pub(crate) struct Progress {
    show: Show,
    what: String,
    noun: &'static str,
    total: Option<u64>,
    started: Instant,
    last_line: Instant,
    bar: ProgressBar,
}

impl Progress {
    /// Begins work on `total` of `noun` (if that is known): `importing`, `record`. Shows nothing
    /// if `quiet`.
    pub(crate) fn start(quiet: bool, what: &str, noun: &'static str, total: Option<u64>) -> Self {
        let show = match (quiet, io::stderr().is_terminal()) {
            (true, _) => Show::Nothing,
            (false, true) => Show::Bar,
            (false, false) => Show::Lines,
        };
        let now = Instant::now();
        let progress = Progress {
            show,
            what: what.to_owned(),
            noun,
            total,
            started: now,
            last_line: now,
            bar: ProgressBar::with_draw_target(Some(STEPS), ProgressDrawTarget::hidden()),
        };
        if show == Show::Bar {
            progress.bar.set_draw_target(ProgressDrawTarget::stderr());
            progress.draw(0, None);
            progress.bar.enable_steady_tick(TICK);
        }
        progress
    }

    /// Goes on to another part of the work, with a count and a clock of its own.
    pub(crate) fn stage(&mut self, what: &str, total: Option<u64>) {
        if self.what != what {
            what.clone_into(&mut self.what);
            self.started = Instant::now();
        }
        self.total = total;
        if self.show == Show::Bar {
            self.bar.reset_elapsed();
            self.draw(0, None);
        }
    }

    /// `done` are done. `fraction` (0 to 1) says how far that is, where no total is known.
    pub(crate) fn set(&mut self, done: u64, fraction: Option<f64>) {
        match self.show {
            Show::Bar => self.draw(done, fraction),
            Show::Lines if self.last_line.elapsed() >= LINE_INTERVAL => {
                self.last_line = Instant::now();
                let text = self.text(done, fraction);
                // Progress that cannot be shown is no reason to stop.
                let _ = writeln!(io::stderr(), "{} {text}", self.what);
            }
            Show::Lines | Show::Nothing => {}
        }
    }

    /// Since the work, or this part of it, began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn draw(&self, done: u64, fraction: Option<f64>) {
        let known = self.fraction(done, fraction);
        let template = match (known, done) {
            (Some(_), _) => "{prefix} [{bar:14}] {wide_msg}",
            (None, 1..) => "{prefix} {spinner} {wide_msg}",
            // The bar's own clock runs while the work says nothing.
            (None, 0) => "{prefix} {spinner} {elapsed}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style.progress_chars("=> "));
        }
        self.bar.set_prefix(self.what.clone());
        self.bar.set_position((known.unwrap_or(0.0) * STEPS as f64) as u64);
        self.bar.set_message(self.text(done, fraction));
    }

    fn fraction(&self, done: u64, fraction: Option<f64>) -> Option<f64> {
        let known = fraction.or_else(|| match self.total {
            Some(0) | None => None,
            Some(total) => Some(done as f64 / total as f64),
        });
        known.map(|f| f.clamp(0.0, 1.0))
    }

    fn text(&self, done: u64, fraction: Option<f64>) -> String {
        let fraction = self.fraction(done, fraction);
        describe(done, self.noun, self.total, fraction, self.elapsed())
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// `5,000 of 10,000 records, 50 %, 2,500/s, 2 s left`, as far as things are known.
fn describe(
    done: u64,
    noun: &str,
    total: Option<u64>,
    fraction: Option<f64>,
    elapsed: Duration,
) -> String {
    let mut parts = Vec::new();
    match total {
        Some(total) => {
            parts.push(format!("{} of {}", units::count(done), units::counted(total, noun)));
        }
        None if done > 0 => parts.push(units::counted(done, noun)),
        None => {}
    }
    if let Some(fraction) = fraction {
        parts.push(format!("{:.0} %", fraction * 100.0));
    }
    if done > 0 && elapsed > Duration::ZERO {
        parts.push(format!("{}/s", units::count(units::rate(done, elapsed) as u64)));
    }
    match fraction {
        Some(fraction) if fraction > 0.0 && fraction < 1.0 => {
            let left = elapsed.as_secs_f64() * (1.0 - fraction) / fraction;
            parts.push(match left.ceil() as u64 {
                seconds @ 0..60 => format!("{seconds} s left"),
                seconds => format!("{} left", units::duration(Duration::from_secs(seconds))),
            });
        }
        Some(_) => {}
        None => parts.push(units::duration(elapsed)),
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_says_what_is_known() {
        let s = Duration::from_secs;
        for (text, expected) in [
            (
                describe(5_000, "record", Some(10_000), Some(0.5), s(2)),
                "5,000 of 10,000 records, 50 %, 2,500/s, 2 s left",
            ),
            (
                describe(5_000, "record", None, Some(0.25), s(10)),
                "5,000 records, 25 %, 500/s, 30 s left",
            ),
            (describe(5_000, "record", None, None, s(10)), "5,000 records, 500/s, 10.0 s"),
            (describe(0, "record", None, None, s(10)), "10.0 s"),
            (describe(0, "record", Some(7), Some(0.0), s(0)), "0 of 7 records, 0 %"),
            (describe(7, "record", Some(7), Some(1.0), s(7)), "7 of 7 records, 100 %, 1/s"),
            (
                describe(1, "record", Some(61), Some(1.0 / 61.0), s(2)),
                "1 of 61 records, 2 %, 0/s, 2 min 0 s left",
            ),
        ] {
            assert_eq!(text, expected);
        }
    }
}
