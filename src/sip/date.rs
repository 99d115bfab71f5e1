//! Date: an RFC 1123 date in GMT and nothing else (RFC 3261 §20.17, §25.1 `SIP-date`).

use std::fmt;

use time::format_description::BorrowedFormatItem;
use time::macros::{datetime, format_description};
use time::{OffsetDateTime, PrimitiveDateTime};

use super::error::Flaw;

/// A point in time, to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date(PrimitiveDateTime);

impl Date {
    /// The first second of 1970.
    pub const EPOCH: Self = Self(datetime!(1970-01-01 00:00));

    /// The date so many seconds after 1970; `None` beyond the year 9999.
    #[must_use]
    pub fn from_unix_seconds(seconds: i64) -> Option<Self> {
        let date = OffsetDateTime::from_unix_timestamp(seconds).ok()?;
        (0..=9999)
            .contains(&date.year())
            .then(|| Self(PrimitiveDateTime::new(date.date(), date.time())))
    }

    /// Reads `Thu, 01 Jan 1970 00:00:00 GMT`.
    ///
    /// # Errors
    /// [`Flaw::Date`].
    pub fn parse(text: &str) -> Result<Self, Flaw> {
        PrimitiveDateTime::parse(text, FORM)
            .map(Self)
            .map_err(|_| Flaw::Date)
    }

    /// Seconds after 1970.
    #[must_use]
    pub const fn unix_seconds(self) -> i64 {
        self.0.assume_utc().unix_timestamp()
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.format(FORM).map_err(|_| fmt::Error)?)
    }
}

const FORM: &[BorrowedFormatItem<'_>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dates_in_gmt_are_dates() {
        let date = Date::parse("Fri, 01 Jan 2010 16:00:00 GMT").unwrap();
        assert_eq!(date.unix_seconds(), 1_262_361_600);
        assert_eq!(date.to_string(), "Fri, 01 Jan 2010 16:00:00 GMT");
        assert_eq!(Date::from_unix_seconds(1_262_361_600), Some(date));
        assert_eq!(Date::from_unix_seconds(i64::MAX), None);
        for text in [
            "",
            "Fri, 01 Jan 2010 16:00:00 EST",
            "Fri, 01 Jan 2010 16:00:00",
            "Fri, 32 Jan 2010 16:00:00 GMT",
            "Fri, 01 Jan 2010 25:00:00 GMT",
            "2010-01-01T16:00:00Z",
            "Fri, 01 Jan 2010 16:00:00 GMT x",
        ] {
            assert_eq!(Date::parse(text), Err(Flaw::Date), "{text:?}");
        }
    }
}
