//! Numbers as decimal digits.

/// The most digits that a number has.
const MOST_DIGITS: usize = 20;

/// `1234`
pub(in super::super) fn decimal(out: &mut Vec<u8>, value: impl Into<u64>) {
    let (mut text, mut rest, mut start) = ([0; MOST_DIGITS], value.into(), MOST_DIGITS);
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        (rest, start) = (rest / 10, start - 1);
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(text.get(start..).unwrap_or_default());
}

/// The last digits of a number, so many, with zeros before them.
pub(super) fn padded<const DIGITS: usize>(out: &mut Vec<u8>, value: u32) {
    let (mut text, mut rest) = ([0; DIGITS], value);
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&text);
}

/// µs as seconds: `0.001234`
pub(super) fn seconds(out: &mut Vec<u8>, us: u64) {
    decimal(out, us / 1_000_000);
    out.push(b'.');
    padded::<6>(out, (us % 1_000_000) as u32);
}

/// µs as seconds, to the nearest millisecond: `0.001`
pub(super) fn rounded(out: &mut Vec<u8>, us: u64) {
    let ms = us.saturating_add(500) / 1000;
    decimal(out, ms / 1000);
    out.push(b'.');
    padded::<3>(out, (ms % 1000) as u32);
}
