//! MD5-crypt (`$1$`), and Apache's variant of it (`$apr1$`): Poul-Henning Kamp's algorithm, which differs between the
//! two in the magic alone.

use md5::{Digest, Md5};

/// What such a hash begins with.
pub(super) const MAGICS: [&str; 2] = ["$apr1$", "$1$"];

const ROUNDS: usize = 1000;
/// Letters of a salt that count.
const SALT_LETTERS: usize = 8;
const DIGITS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Bytes of the digest that make four digits together.
const TOGETHER: [[usize; 3]; 5] = [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]];
/// Digits of a digest.
const WRITTEN: usize = 22;

/// The salt and the digest of a hash.
pub(super) fn parts<'a>(text: &'a str, magic: &str) -> Option<(&'a str, &'a str)> {
    let (salt, digest) = text.strip_prefix(magic)?.split_once('$')?;
    let is_sound = digest.len() == WRITTEN && digest.bytes().all(|byte| DIGITS.contains(&byte));
    is_sound.then(|| (salt.get(..SALT_LETTERS).unwrap_or(salt), digest))
}

/// The digest of a password, as it is written.
pub(super) fn digest(password: &[u8], magic: &[u8], salt: &[u8]) -> Vec<u8> {
    let mut digest = first(password, magic, salt);
    for round in 0..ROUNDS {
        let is_odd = round % 2 == 1;
        let mut next = Md5::new();
        next.update(if is_odd { password } else { &digest });
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        next.update(if is_odd { &digest } else { password });
        digest = next.finalize().into();
    }
    written(&digest)
}

fn first(password: &[u8], magic: &[u8], salt: &[u8]) -> [u8; 16] {
    let twice = Md5::new().chain_update(password).chain_update(salt).chain_update(password).finalize();
    let mut first = Md5::new().chain_update(password).chain_update(magic).chain_update(salt);
    for piece in password.chunks(twice.len()) {
        first.update(twice.get(..piece.len()).unwrap_or_default());
    }
    let mut bits = password.len();
    while bits > 0 {
        first.update(if bits & 1 == 1 { &[0][..] } else { password.get(..1).unwrap_or_default() });
        bits >>= 1;
    }
    first.finalize().into()
}

fn written(digest: &[u8; 16]) -> Vec<u8> {
    let byte = |at: usize| digest.get(at).copied().map_or(0, usize::from);
    let mut digits = Vec::with_capacity(WRITTEN);
    let mut write = |bits: usize, count: usize| {
        digits.extend((0..count).filter_map(|digit| DIGITS.get(bits >> (6 * digit) & 63)));
    };
    for [high, middle, low] in TOGETHER {
        write(byte(high) << 16 | byte(middle) << 8 | byte(low), 4);
    }
    write(byte(11), 2);
    digits
}
