//! Wall-clock times as text. A second is put into words once, and serves all lines of it.

use super::number::padded;
use jiff::Timestamp;

const SECOND_US: i64 = 1_000_000;

/// The seconds that lines were written in, and requests started in, last.
#[derive(Debug, Default)]
pub(in super::super) struct Stamps {
    written: Second,
    combined: Second,
    started: Second,
}

impl Stamps {
    /// `2026-01-31T23:59:59.123Z`
    pub(super) fn written(&mut self, out: &mut Vec<u8>, us: i64) {
        out.extend_from_slice(self.written.text(us, iso).as_bytes());
        out.push(b'.');
        padded::<3>(out, us.rem_euclid(SECOND_US) as u32 / 1000);
        out.push(b'Z');
    }

    /// `31/Jan/2026:23:59:59 +0000`
    pub(super) fn written_combined(&mut self, out: &mut Vec<u8>, us: i64) {
        out.extend_from_slice(self.combined.text(us, combined).as_bytes());
    }

    /// `2026-01-31T23:59:59.123456Z`
    pub(super) fn started(&mut self, out: &mut Vec<u8>, us: i64) {
        out.extend_from_slice(self.started.text(us, iso).as_bytes());
        out.push(b'.');
        padded::<6>(out, us.rem_euclid(SECOND_US) as u32);
        out.push(b'Z');
    }
}

#[derive(Debug, Default)]
struct Second {
    second: Option<i64>,
    text: String,
}

impl Second {
    fn text(&mut self, us: i64, words: fn(Timestamp) -> String) -> &str {
        let second = us.div_euclid(SECOND_US);
        if self.second != Some(second) {
            let time = Timestamp::from_second(second).unwrap_or_default();
            (self.second, self.text) = (Some(second), words(time));
        }
        &self.text
    }
}

fn iso(time: Timestamp) -> String {
    format!("{time:.0}").trim_end_matches('Z').to_owned()
}

fn combined(time: Timestamp) -> String {
    time.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string()
}
