//! The names in the fields of trailers, as far as they can be read without a table (RFC 7541, 6).

/// The first entries of the static table are pseudo-header fields.
const PSEUDO: std::ops::RangeInclusive<u8> = 1..=14;
/// A field with an index of 0, which there is not.
const NO_FIELD: u8 = 0x80;
/// The first letter of a name that is in capitals, plain and by Huffman's code (`A`, then 1s).
const CAPITAL: u8 = b'A';
const CAPITAL_BY_HUFFMAN: u8 = 0b1000_0111;
/// `:` by Huffman's code, which takes 7 bits.
const COLON_BY_HUFFMAN: u8 = 0b101_1100;
/// Of a string's length, when it takes further bytes.
const LONG: u64 = 0x7f;
/// Bits of a number in its last byte; the library takes no longer ones.
const LAST_SHIFT: u32 = 21;

/// How far the fields of trailers have come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fields {
    at: At,
}

#[derive(Clone, Copy, Debug, Default)]
enum At {
    /// A field, or a change of the table's size.
    #[default]
    Start,
    /// The rest of a number that does not matter, then this.
    Number(Next),
    /// The length of a string.
    Length(Text),
    /// The rest of one: what it is so far, and its next bits.
    Longer { text: Text, is_coded: bool, length: u64, shift: u32 },
    /// The first byte of a name.
    Name { is_coded: bool, length: u64 },
    /// So much of a string, then this.
    Rest { left: u64, next: Next },
    /// Nobody can read on, the library neither.
    Lost,
}

#[derive(Clone, Copy, Debug)]
enum Next {
    Start,
    Value,
}

#[derive(Clone, Copy, Debug)]
enum Text {
    Name,
    Value,
}

impl From<Next> for At {
    fn from(next: Next) -> At {
        match next {
            Next::Start => At::Start,
            Next::Value => At::Length(Text::Value),
        }
    }
}

impl Fields {
    /// Looks at the next bytes; where one begins a pseudo-header field, it is made to begin none.
    pub(super) fn pass(&mut self, bytes: &mut [u8]) {
        let mut at = 0;
        while let Some(rest) = bytes.get_mut(at..) {
            let Some(byte) = rest.first_mut() else { return };
            self.at = match self.at {
                At::Lost => return,
                At::Rest { left, next } => {
                    let count = left.min(rest.len() as u64);
                    at += count as usize;
                    self.at = At::Rest { left: left - count, next };
                    if left == count {
                        self.at = next.into();
                    }
                    continue;
                }
                At::Start => start(byte),
                At::Number(next) if *byte & 0x80 == 0 => next.into(),
                At::Number(next) => At::Number(next),
                At::Length(text) => {
                    let (is_coded, length) = (*byte & 0x80 != 0, u64::from(*byte & 0x7f));
                    if length == LONG {
                        At::Longer { text, is_coded, length, shift: 0 }
                    } else {
                        string(text, is_coded, length)
                    }
                }
                At::Longer { text, is_coded, length, shift } => longer(text, is_coded, length, shift, *byte),
                At::Name { is_coded, length } => {
                    name(byte, is_coded);
                    rest_of(length.saturating_sub(1), Next::Value)
                }
            };
            at += 1;
        }
    }
}

fn start(byte: &mut u8) -> At {
    // How many bits are a number, and what follows it.
    let (bits, next) = match *byte {
        0x80.. => (7, Next::Start),
        0x40.. => (6, Next::Value),
        0x20.. => (5, Next::Start),
        _ => (4, Next::Value),
    };
    let most = (1_u8 << bits) - 1;
    let number = *byte & most;
    let is_field = bits != 5;
    if is_field && PSEUDO.contains(&number) {
        *byte = NO_FIELD;
        At::Lost
    } else if number == most {
        At::Number(next)
    } else if matches!(next, Next::Value) && number == 0 {
        At::Length(Text::Name)
    } else {
        next.into()
    }
}

fn longer(text: Text, is_coded: bool, length: u64, shift: u32, byte: u8) -> At {
    let length = length + (u64::from(byte & 0x7f) << shift);
    match (byte & 0x80 == 0, shift < LAST_SHIFT) {
        (true, _) => string(text, is_coded, length),
        (false, true) => At::Longer { text, is_coded, length, shift: shift + 7 },
        (false, false) => At::Lost,
    }
}

fn string(text: Text, is_coded: bool, length: u64) -> At {
    match (text, length) {
        (Text::Name, 0) => At::Length(Text::Value),
        (Text::Name, _) => At::Name { is_coded, length },
        (Text::Value, _) => rest_of(length, Next::Start),
    }
}

fn rest_of(left: u64, next: Next) -> At {
    if left == 0 { next.into() } else { At::Rest { left, next } }
}

/// The first byte of a name: a colon becomes a letter that no name has.
fn name(byte: &mut u8, is_coded: bool) {
    match is_coded {
        true if *byte >> 1 == COLON_BY_HUFFMAN => *byte = CAPITAL_BY_HUFFMAN,
        false if *byte == b':' => *byte = CAPITAL,
        _ => {}
    }
}
