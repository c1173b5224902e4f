//! Numbers as hexadecimal digits, eight at a time: every request has some made.

/// All digits of a number, in lower case.
pub fn digits(bits: u64) -> [u8; 16] {
    let mut digits = [0; 16];
    let (high, low) = digits.split_at_mut(8);
    high.copy_from_slice(&written(nibbles((bits >> 32) as u32)).to_be_bytes());
    low.copy_from_slice(&written(nibbles(bits as u32)).to_be_bytes());
    digits
}

/// A byte for each half of a byte.
fn nibbles(bits: u32) -> u64 {
    let bits = u64::from(bits);
    let bits = (bits | bits << 16) & 0x0000_ffff_0000_ffff;
    let bits = (bits | bits << 8) & 0x00ff_00ff_00ff_00ff;
    (bits | bits << 4) & 0x0f0f_0f0f_0f0f_0f0f
}

/// Eight digits at once: ten and more are letters.
fn written(nibbles: u64) -> u64 {
    const EACH: u64 = u64::MAX / 255;
    let letters = ((nibbles + 6 * EACH) >> 4) & EACH;
    nibbles + b'0' as u64 * EACH + letters * (b'a' - b'0' - 10) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn digits_are_as_std_writes_them(bits: u64) {
            prop_assert_eq!(digits(bits).to_vec(), format!("{bits:016x}").into_bytes());
        }
    }
}
