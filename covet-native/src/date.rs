//! Dates of HTTP (RFC 9110 5.6.7): three forms are read, one is written.
//!
//! Days are counted by Howard Hinnant's `days_from_civil` and `civil_from_days` ("chrono-Compatible Low-Level Date
//! Algorithms", 2013).

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

/// A moment, in whole seconds since 1970-01-01 00:00:00 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HttpDate(pub i64);

/// The seconds at which the years 0 to 9999 begin and end: what fits four digits.
const WRITABLE: std::ops::RangeInclusive<i64> = -62_167_219_200..=253_402_300_799;

const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const LONG_DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

impl HttpDate {
    /// The present second.
    #[must_use]
    pub fn now() -> Self {
        Self::from(SystemTime::now())
    }

    /// Reads a date in any of the three forms, which are case-sensitive. The name of the day has to be one, but need
    /// not be the right one.
    ///
    /// ```
    /// use covet_native::HttpDate;
    ///
    /// let date = HttpDate(784_111_777);
    /// assert_eq!(HttpDate::parse(b"Sun, 06 Nov 1994 08:49:37 GMT"), Some(date));
    /// assert_eq!(HttpDate::parse(b"Sunday, 06-Nov-94 08:49:37 GMT"), Some(date));
    /// assert_eq!(HttpDate::parse(b"Sun Nov  6 08:49:37 1994"), Some(date));
    /// ```
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        Self::parse_at(text, Self::now())
    }

    /// The same at a given moment, which decides the century of a date with a two-digit year: one that seems more than
    /// 50 years ahead is the last one in the past.
    #[must_use]
    pub fn parse_at(text: &[u8], now: Self) -> Option<Self> {
        let mut rest = Cursor(text);
        if let Some(comma) = memchr::memchr(b',', text.get(..text.len().min(10))?) {
            let name = &text[..comma];
            rest.0 = &text[comma + 1..];
            rest.expect(b" ")?;
            if is_one_of(&DAYS, name) {
                let day = rest.digits(2)?;
                rest.expect(b" ")?;
                let month = rest.month()?;
                rest.expect(b" ")?;
                let year = rest.digits(4)?;
                rest.expect(b" ")?;
                let second = rest.time()?;
                rest.expect(b" GMT")?;
                return rest.end(year, month, day, second);
            }
            if !is_one_of(&LONG_DAYS, name) {
                return None;
            }
            let day = rest.digits(2)?;
            rest.expect(b"-")?;
            let month = rest.month()?;
            rest.expect(b"-")?;
            let of_century = rest.digits(2)?;
            rest.expect(b" ")?;
            let second = rest.time()?;
            rest.expect(b" GMT")?;
            let present = now.civil().0;
            let mut year = present - present.rem_euclid(100) + of_century;
            if year > present + 50 {
                year -= 100;
            } else if year + 50 < present {
                year += 100;
            }
            return rest.end(year, month, day, second);
        }
        if !is_one_of(&DAYS, text.get(..3)?) {
            return None;
        }
        rest.0 = &text[3..];
        rest.expect(b" ")?;
        let month = rest.month()?;
        rest.expect(b" ")?;
        let day = match rest.0 {
            [b' ', ..] => {
                rest.expect(b" ")?;
                rest.digits(1)?
            }
            _ => rest.digits(2)?,
        };
        rest.expect(b" ")?;
        let second = rest.time()?;
        rest.expect(b" ")?;
        let year = rest.digits(4)?;
        rest.end(year, month, day, second)
    }

    /// Writes the date in the one form that is written, `Sun, 06 Nov 1994 08:49:37 GMT`. A moment outside the years
    /// 0 to 9999 is written as the nearest inside.
    #[must_use]
    pub fn format(self) -> [u8; 29] {
        let seconds = self.0.clamp(*WRITABLE.start(), *WRITABLE.end());
        let (year, month, day) = Self(seconds).civil();
        let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let mut text = *b"Thu, 01 Jan 1970 00:00:00 GMT";
        // The first day was a Thursday.
        text[..3].copy_from_slice(DAYS[(days + 4).rem_euclid(7) as usize].as_bytes());
        two_digits(&mut text[5..7], day);
        text[8..11].copy_from_slice(MONTHS[month as usize - 1].as_bytes());
        two_digits(&mut text[12..14], year / 100);
        two_digits(&mut text[14..16], year % 100);
        two_digits(&mut text[17..19], second / 3600);
        two_digits(&mut text[20..22], second / 60 % 60);
        two_digits(&mut text[23..25], second % 60);
        text
    }

    /// Year, month (from 1) and day (from 1).
    fn civil(self) -> (i64, i64, i64) {
        let days = self.0.div_euclid(86_400) + 719_468;
        let era = days.div_euclid(146_097);
        let of_era = days.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 {
            from_march + 3
        } else {
            from_march - 9
        };
        (year_of_era + era * 400 + i64::from(month <= 2), month, day)
    }

    fn from_civil(year: i64, month: i64, day: i64) -> Self {
        let year = year - i64::from(month <= 2);
        let era = year.div_euclid(400);
        let of_era = year.rem_euclid(400);
        let from_march = if month > 2 { month - 3 } else { month + 9 };
        let of_year = (153 * from_march + 2) / 5 + day - 1;
        let day_of_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
        Self((era * 146_097 + day_of_era - 719_468) * 86_400)
    }
}

impl From<SystemTime> for HttpDate {
    fn from(time: SystemTime) -> Self {
        Self(match time.duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            // A part of a second before is the second before.
            Err(before) => {
                let before = before.duration();
                let seconds = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
                -seconds - i64::from(before.subsec_nanos() > 0)
            }
        })
    }
}

/// The `Date` field of a response that is sent now, with its line end. Each thread formats it once a second.
#[inline]
pub(crate) fn line() -> [u8; 37] {
    const FIRST: [u8; 37] = *b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
    thread_local! {
        static LAST: Cell<(HttpDate, [u8; 37])> = const { Cell::new((HttpDate(0), FIRST)) };
    }
    let now = HttpDate::now();
    LAST.with(|last| {
        let (second, mut line) = last.get();
        if second != now {
            line[6..35].copy_from_slice(&now.format());
            last.set((now, line));
        }
        line
    })
}

fn two_digits(into: &mut [u8], number: i64) {
    into[0] = b'0' + (number / 10) as u8;
    into[1] = b'0' + (number % 10) as u8;
}

fn is_one_of(names: &[&str], name: &[u8]) -> bool {
    names.iter().any(|known| known.as_bytes() == name)
}

/// What is left to read.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn expect(&mut self, text: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(text)?;
        Some(())
    }

    fn digits(&mut self, count: usize) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        crate::lex::number(digits).and_then(|number| i64::try_from(number).ok())
    }

    fn month(&mut self) -> Option<i64> {
        let (name, rest) = self.0.split_at_checked(3)?;
        self.0 = rest;
        let index = MONTHS.iter().position(|month| month.as_bytes() == name)?;
        Some(index as i64 + 1)
    }

    /// The second of the day. A leap second is the last one of its minute.
    fn time(&mut self) -> Option<i64> {
        let hour = self.digits(2)?;
        self.expect(b":")?;
        let minute = self.digits(2)?;
        self.expect(b":")?;
        let second = self.digits(2)?;
        let valid = hour < 24 && minute < 60 && second <= 60;
        valid.then_some(hour * 3600 + minute * 60 + second.min(59))
    }

    fn end(&self, year: i64, month: i64, day: i64, second: i64) -> Option<HttpDate> {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month {
            2 => 28 + i64::from(leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let valid = self.0.is_empty() && (1..=days).contains(&day);
        valid.then(|| HttpDate(HttpDate::from_civil(year, month, day).0 + second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_ten_thousand_years_reads_as_it_was_written() {
        let last = *WRITABLE.end();
        for moment in (*WRITABLE.start()..=last).step_by(86_400 + 61) {
            let text = HttpDate(moment).format();
            assert_eq!(HttpDate::parse(&text), Some(HttpDate(moment)), "{moment}");
        }
        assert_eq!(&HttpDate(last).format(), b"Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(HttpDate(i64::MAX).format(), HttpDate(last).format());
    }

    #[test]
    fn a_short_year_is_within_fifty_years_of_now() {
        let now = HttpDate::from_civil(2026, 1, 1);
        for (text, year) in [
            (&b"Sunday, 06-Nov-76 00:00:00 GMT"[..], 2076),
            (b"Sunday, 06-Nov-77 00:00:00 GMT", 1977),
            (b"Sunday, 06-Nov-00 00:00:00 GMT", 2000),
        ] {
            let date = HttpDate::parse_at(text, now).map(|date| date.civil().0);
            assert_eq!(date, Some(year));
        }
        let late = HttpDate::from_civil(2090, 1, 1);
        let early = HttpDate::parse_at(b"Sunday, 06-Nov-10 00:00:00 GMT", late);
        assert_eq!(early.map(|date| date.civil().0), Some(2110));
    }

    #[test]
    fn the_date_of_a_response_is_the_clocks() {
        let before = HttpDate::now();
        let sent = HttpDate::parse(&line()[6..35]).unwrap();
        assert!(before <= sent && sent <= HttpDate::now());
    }
}
