//! Points in time, as metadata and filters write them.

use std::fmt;

const MICROS_A_SECOND: i64 = 1_000_000;
const MINUTES_A_DAY: i64 = 24 * 60;

/// A point in time, exact to the microsecond.
///
/// Written as RFC 3339 has it: `2024-05-01T10:00:00Z`, `2024-05-01T12:00:00.25+02:00`, or a day
/// alone, which is its midnight in UTC. The same moment written in two time zones is one
/// `Timestamp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Since 1970-01-01T00:00:00Z, without leap seconds.
    micros: i64,
}

impl Timestamp {
    /// Reads a date of RFC 3339, a full date or a date with time and offset; `None` for any other
    /// text.
    ///
    /// `T` may be a blank, as the RFC allows. Digits after the sixth of a second's fraction are cut
    /// off. Second 60 is read where a leap second can be, just before midnight in UTC, as the first
    /// moment of the next day. Moments outside of the years 0 to 9999 in UTC are not read: they
    /// could not be written again.
    #[must_use]
    pub fn parse(text: &str) -> Option<Timestamp> {
        let mut rest = Rest(text.as_bytes());
        let year = rest.number(4)?;
        rest.one_of(b"-")?;
        let month = rest.number(2)?;
        rest.one_of(b"-")?;
        let day = rest.number(2)?;
        if !(1..=12).contains(&month) || !(1..=days_of_month(year, month)).contains(&day) {
            return None;
        }
        let days = days_before(year, month, day);
        if rest.0.is_empty() {
            return Some(Timestamp { micros: days * MINUTES_A_DAY * 60 * MICROS_A_SECOND });
        }

        rest.one_of(b"Tt ")?;
        let hour = rest.number(2)?;
        rest.one_of(b":")?;
        let minute = rest.number(2)?;
        rest.one_of(b":")?;
        let second = rest.number(2)?;
        let fraction = if rest.one_of(b".").is_some() { rest.fraction()? } else { 0 };
        let offset = rest.offset()?;
        if !rest.0.is_empty() || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let minutes = days * MINUTES_A_DAY + hour * 60 + minute - offset;
        if second == 60 && minutes.rem_euclid(MINUTES_A_DAY) != MINUTES_A_DAY - 1 {
            return None;
        }
        let micros = (minutes * 60 + second) * MICROS_A_SECOND + fraction;
        let years = days_before(0, 1, 1)..days_before(10_000, 1, 1);
        years
            .contains(&micros.div_euclid(MINUTES_A_DAY * 60 * MICROS_A_SECOND))
            .then_some(Timestamp { micros })
    }

    /// Microseconds since 1970-01-01T00:00:00Z, without leap seconds.
    #[must_use]
    pub fn micros(self) -> i64 {
        self.micros
    }
}

impl fmt::Display for Timestamp {
    /// In UTC, with as many digits of the second as it needs; [`Timestamp::parse`] reads it back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.micros.div_euclid(MICROS_A_SECOND);
        let fraction = self.micros.rem_euclid(MICROS_A_SECOND);
        let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = date_of(days);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        if fraction > 0 {
            write!(f, ".{}", format!("{fraction:06}").trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

/// What is left to read.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn one_of(&mut self, bytes: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        bytes.contains(first).then(|| {
            self.0 = rest;
            *first
        })
    }

    /// A number of exactly so many digits.
    fn number(&mut self, digits: usize) -> Option<i64> {
        let (number, rest) = self.0.split_at_checked(digits)?;
        self.0 = rest;
        number.iter().try_fold(0, |value, byte| {
            byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0'))
        })
    }

    /// The digits after a second's point, in microseconds.
    fn fraction(&mut self) -> Option<i64> {
        let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (fraction, rest) = self.0.split_at(digits);
        self.0 = rest;
        let digit = |at| fraction.get(at).map_or(0, |byte: &u8| i64::from(byte - b'0'));
        (digits > 0).then(|| (0..6).fold(0, |value, at| value * 10 + digit(at)))
    }

    /// Minutes that the written time is ahead of UTC.
    fn offset(&mut self) -> Option<i64> {
        let ahead = match self.one_of(b"Zz+-")? {
            b'+' => 1,
            b'-' => -1,
            _ => return Some(0),
        };
        let hours = self.number(2)?;
        self.one_of(b":")?;
        let minutes = self.number(2)?;
        (hours <= 23 && minutes <= 59).then_some(ahead * (hours * 60 + minutes))
    }
}

fn days_of_month(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days between 0000-03-01 and 1970-01-01 in the proleptic Gregorian calendar.
const DAYS_TO_1970: i64 = 719_468;
const DAYS_A_CYCLE: i64 = 146_097;

/// Days from 1970-01-01 to a date. Years are counted from March, so that the leap day is the last
/// day of a year, and days in cycles of 400 years (Hinnant 2013, "chrono-compatible low-level date
/// algorithms").
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (cycle, year) = (year.div_euclid(400), year.rem_euclid(400));
    let month = (month + 9) % 12;
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    cycle * DAYS_A_CYCLE + year * 365 + year / 4 - year / 100 + day_of_year - DAYS_TO_1970
}

/// Year, month and day of a number of days from 1970-01-01; undoes [`days_before`].
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + DAYS_TO_1970;
    let (cycle, day) = (days.div_euclid(DAYS_A_CYCLE), days.rem_euclid(DAYS_A_CYCLE));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = (month + 2) % 12 + 1;
    (cycle * 400 + year + i64::from(month <= 2), month, day)
}
