//! What others sent, so that it ends neither its field nor its line.

const HEX: &[u8; 16] = b"0123456789abcdef";
const UPPER_HEX: &[u8; 16] = b"0123456789ABCDEF";
/// What stands for bytes that are no UTF-8.
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// What stands within the quotes of a text in JSON.
pub(super) fn json(out: &mut Vec<u8>, value: &[u8]) {
    if is_plain(value) {
        return out.extend_from_slice(value);
    }
    lossy(value).flatten().for_each(|byte| json_byte(out, *byte));
}

/// What is UTF-8 of it, in pieces, with a replacement for what is not.
pub(super) fn lossy(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let replacement = |invalid: &[u8]| if invalid.is_empty() { &b""[..] } else { REPLACEMENT };
    value.utf8_chunks().flat_map(move |chunk| [chunk.valid().as_bytes(), replacement(chunk.invalid())])
}

fn json_byte(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        0..=0x1f => {
            out.extend_from_slice(b"\\u00");
            return hex(out, byte, HEX);
        }
        _ => return out.push(byte),
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// As nginx escapes: quotes, backslashes and everything outside printable ASCII as `\xHH`.
pub(super) fn combined(out: &mut Vec<u8>, value: &[u8]) {
    if is_plain(value) {
        return out.extend_from_slice(value);
    }
    for byte in value {
        match byte {
            b'"' | b'\\' | 0..=0x1f | 0x7f..=0xff => {
                out.extend_from_slice(b"\\x");
                hex(out, *byte, UPPER_HEX);
            }
            byte => out.push(*byte),
        }
    }
}

fn hex(out: &mut Vec<u8>, byte: u8, digits: &[u8; 16]) {
    out.extend([byte >> 4, byte & 15].into_iter().filter_map(|digit| digits.get(usize::from(digit))));
}

/// Whether it has printable ASCII only, and nothing that either format escapes.
fn is_plain(value: &[u8]) -> bool {
    let (words, rest) = value.as_chunks();
    let last = rest.iter().fold(BLANKS, |word, byte| word << 8 | u64::from(*byte));
    !words.iter().any(|word| has_special(u64::from_le_bytes(*word))) && !has_special(last)
}

/// The same byte eight times is so many times that byte; the highest bit of each; and eight blanks.
const EACH: u64 = u64::MAX / 255;
const HIGH: u64 = EACH * 0x80;
const BLANKS: u64 = EACH * b' ' as u64;

/// Whether one of eight bytes is special: all at once, as in "Bit Twiddling Hacks" (Anderson, "Determine if a word has a
/// zero byte", "a byte less than n").
fn has_special(word: u64) -> bool {
    let has = |byte: u8| {
        let other = word ^ (EACH * u64::from(byte));
        other.wrapping_sub(EACH) & !other
    };
    let is_control = word.wrapping_sub(BLANKS) & !word;
    (word | is_control | has(0x7f) | has(b'"') | has(b'\\')) & HIGH != 0
}
