//! Dates of RFC 3339 against a count of days, one by one.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use vecstore_index::Timestamp;

fn micros(text: &str) -> Option<i64> {
    Timestamp::parse(text).map(Timestamp::micros)
}

#[test]
fn what_is_a_date_and_what_is_not() {
    for (text, expected) in [
        ("1970-01-01", 0),
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:00z", 0),
        ("1970-01-01 00:00:01Z", 1_000_000),
        ("1970-01-01T02:00:00+02:00", 0),
        ("1969-12-31T20:30:00-03:30", 0),
        ("1970-01-01T00:00:00-00:00", 0),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("1970-01-01T00:00:00.5Z", 500_000),
        ("1970-01-01T00:00:00.0000019Z", 1),
        ("2000-02-29", 951_782_400_000_000),
        ("2024-05-01T10:00:00Z", 1_714_557_600_000_000),
        // A leap second is the first moment of the next day.
        ("2016-12-31T23:59:60Z", 1_483_228_800_000_000),
        ("2017-01-01T01:59:60.5+02:00", 1_483_228_800_500_000),
        ("0000-01-01T00:00:00Z", -62_167_219_200_000_000),
        ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999),
    ] {
        assert_eq!(micros(text), Some(expected), "{text}");
    }
    for text in [
        "",
        "2024",
        "2024-05",
        "2024-5-1",
        "20240501",
        "2024-00-10",
        "2024-13-10",
        "2024-04-31",
        "2023-02-29",
        "1900-02-29",
        "2024-05-00",
        "2024-05-01T",
        "2024-05-01T10:00Z",
        "2024-05-01T10:00:00",
        "2024-05-01T10:00:00.Z",
        "2024-05-01T10:00:00,5Z",
        "2024-05-01T24:00:00Z",
        "2024-05-01T10:60:00Z",
        "2024-05-01T10:00:60Z",
        "2024-05-01T10:00:61Z",
        "2024-05-01T10:00:00+2:00",
        "2024-05-01T10:00:00+0200",
        "2024-05-01T10:00:00+24:00",
        "2024-05-01T10:00:00Zulu",
        " 2024-05-01",
        "2024-05-01 ",
        "-024-05-01",
        "+2024-05-01",
        "２０２４-05-01",
        // Beyond the years that can be written.
        "0000-01-01T00:00:00+00:01",
        "9999-12-31T23:59:00-00:01",
    ] {
        assert_eq!(micros(text), None, "{text}");
    }
}

/// Every day of the calendar is one day after the day before it.
#[test]
fn days_follow_each_other() {
    let mut day = micros("0000-01-01").unwrap();
    for year in 0..10_000 {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let february = if leap { 29 } else { 28 };
        for (month, days) in (1..).zip([31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]) {
            for date in 1..=days {
                let text = format!("{year:04}-{month:02}-{date:02}");
                let found = Timestamp::parse(&text).unwrap();
                assert_eq!(found.micros(), day, "{text}");
                assert_eq!(found.to_string(), format!("{text}T00:00:00Z"));
                day += 86_400_000_000;
            }
            assert_eq!(micros(&format!("{year:04}-{month:02}-{:02}", days + 1)), None);
        }
    }
    assert_eq!(day, micros("9999-12-31T23:59:59.999999Z").unwrap() + 1);
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        text in "[012][0-9]{3}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,8})?(Z|[+-][01][0-9]:[0-5][0-9])",
    ) {
        if let Some(date) = Timestamp::parse(&text) {
            prop_assert_eq!(Timestamp::parse(&date.to_string()), Some(date), "{}", text);
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "[0-9TtZz:.+ -]{0,40}", other in ".{0,20}") {
        let _ = (Timestamp::parse(&text), Timestamp::parse(&other));
    }
}
