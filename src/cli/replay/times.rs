//! Points in time as logs write them, as µs since the epoch.

use super::said::Unread;
use jiff::Timestamp;
use jiff::tz::TimeZone;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `2026-11-24T23:58:32.123456Z`
pub(super) fn rfc3339(text: &str) -> Result<i64, Unread> {
    let time: Timestamp = text.parse().map_err(|_| format!("{text:?} is no time"))?;
    Ok(time.as_microsecond())
}

/// nginx's `$msec`: `1764028712.123`
pub(super) fn msec(text: &str) -> Result<i64, Unread> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text:?} is no time"))?;
    Ok((seconds * 1e6).round() as i64)
}

/// nginx's `$time_local`, which has whole seconds: `24/Nov/2026:23:58:32 +0100`. Lines of one second come
/// in the order they have; each is put a little after the one before.
#[derive(Debug, Default)]
pub(super) struct Local {
    /// The last one read, what it came to, and how many lines had it.
    text: String,
    us: i64,
    lines: i64,
}

impl Local {
    pub(super) fn read(&mut self, text: &str) -> Result<i64, Unread> {
        if self.text == text {
            self.lines += 1;
        } else {
            (self.us, self.lines) = (parse(text).ok_or_else(|| format!("{text:?} is no time"))?, 0);
            self.text.clear();
            self.text.push_str(text);
        }
        Ok(self.us + self.lines.min(999_999))
    }
}

fn parse(text: &str) -> Option<i64> {
    let (moment, offset) = text.split_once(' ')?;
    let (day, rest) = moment.split_once('/')?;
    let (month, rest) = rest.split_once('/')?;
    let (year, rest) = rest.split_once(':')?;
    let mut clock = rest.split(':').map(str::parse::<i8>);
    let (hour, minute, second) = (clock.next()?.ok()?, clock.next()?.ok()?, clock.next()?.ok()?);
    let month = MONTHS.iter().position(|name| *name == month)? as i8 + 1;
    let day = jiff::civil::Date::new(year.parse().ok()?, month, day.parse().ok()?).ok()?;
    let time = jiff::civil::Time::new(hour, minute, second, 0).ok()?;
    let utc = TimeZone::UTC.to_timestamp(day.to_datetime(time)).ok()?;
    let hours: i64 = offset.get(..3)?.parse().ok()?;
    let minutes: i64 = offset.get(3..)?.parse().ok()?;
    let east = hours * 3600 + if offset.starts_with('-') { -minutes } else { minutes } * 60;
    Some(utc.as_microsecond() - east * 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        let expected = rfc3339("2026-11-24T22:58:32Z").expect("a time");
        let mut local = Local::default();
        assert_eq!(local.read("24/Nov/2026:23:58:32 +0100"), Ok(expected));
        assert_eq!(local.read("24/Nov/2026:23:58:32 +0100"), Ok(expected + 1), "in their order");
        assert_eq!(local.read("24/Nov/2026:18:28:32 -0430"), Ok(expected));
        assert_eq!(msec("1764028712.125"), Ok(1_764_028_712_125_000));
        assert_eq!(rfc3339("2026-11-24T22:58:32.123456Z"), Ok(expected + 123_456));
        for wrong in ["", "24/Nov/2026", "24/Foo/2026:23:58:32 +0100", "32/Nov/2026:23:58:32 +0100"] {
            assert!(local.read(wrong).is_err(), "{wrong}");
        }
    }
}
