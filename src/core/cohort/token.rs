//! The cookie by which a user is known: an id that was drawn, when, and a tag that only this site can make.
//!
//! `0123456789abcdef.65abcdef.0123456789abcdef`: 64 bits of id, the second it was issued in, SipHash-2-4 over
//! both. Whoever has one can be recognized, and change nothing about where they are sent but by throwing it
//! away. The time is there to renew it while it is in use; an old one is as good as a new one.

use crate::core::secret::Secret;
use siphasher::sip::SipHasher24;
use std::time::Duration;
use subtle::ConstantTimeEq;

const ID: usize = 16;
const AT: usize = 8;
const TAG: usize = 16;
/// How long a value is.
const LENGTH: usize = ID + 1 + AT + 1 + TAG;
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// A user, and since when their cookie is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    pub id: u64,
    /// Seconds since 1970.
    pub at: u32,
}

impl User {
    /// Whether their cookie is to be issued again: half of its time is over, or it comes from the future.
    pub fn is_due(self, now: u32, ttl: Duration) -> bool {
        u64::from(now.abs_diff(self.at)) * 2 >= ttl.as_secs()
    }
}

/// The site's keys for its cookies. They are the same for all its services, so that services behind one
/// host name share a cookie.
#[derive(Clone)]
pub struct CookieKeys {
    id: [u8; 16],
    tag: [u8; 16],
}

impl CookieKeys {
    pub fn of(secret: &Secret) -> Self {
        CookieKeys { id: secret.short_key("cookie id", ""), tag: secret.short_key("cookie tag", "") }
    }

    /// A new user. `draw` may be any number that does not come twice: it is hashed, so that nothing of the
    /// generator behind it is shown.
    pub fn welcome(&self, draw: u64, at: u32) -> User {
        User { id: SipHasher24::new_with_key(&self.id).hash(&draw.to_le_bytes()), at }
    }

    /// The user that a value names; `None` where this site has not made it.
    pub fn read(&self, value: &[u8]) -> Option<User> {
        let value: &[u8; LENGTH] = value.try_into().ok()?;
        let (id, rest) = value.split_at(ID);
        let (at, tag) = rest.split_at(1 + AT);
        let user = User { id: number(id)?, at: number(at.strip_prefix(b".")?)? as u32 };
        let tag = number(tag.strip_prefix(b".")?)?;
        bool::from(tag.ct_eq(&self.tag(user))).then_some(user)
    }

    pub fn write(&self, user: User) -> [u8; LENGTH] {
        let mut value = [b'.'; LENGTH];
        put(&mut value[..ID], user.id);
        put(&mut value[ID + 1..][..AT], u64::from(user.at));
        put(&mut value[ID + 1 + AT + 1..], self.tag(user));
        value
    }

    fn tag(&self, user: User) -> u64 {
        let mut message = [0; 12];
        message[..8].copy_from_slice(&user.id.to_le_bytes());
        message[8..].copy_from_slice(&user.at.to_le_bytes());
        SipHasher24::new_with_key(&self.tag).hash(&message)
    }
}

impl std::fmt::Debug for CookieKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CookieKeys")
    }
}

/// Lower-case hexadecimal digits only: a value has one way of being written.
fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |number, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u64::from(digit))
    })
}

fn put(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = DIGITS[(number & 15) as usize];
        number >>= 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> CookieKeys {
        CookieKeys::of(&Secret::new([1; 32]))
    }

    #[test]
    fn a_value_is_read_as_it_was_written() {
        let user = User { id: 0xfeed_0000_0000_0001, at: 0x65ab_cdef };
        let value = keys().write(user);
        assert!(value.starts_with(b"feed000000000001.65abcdef."), "{}", String::from_utf8_lossy(&value));
        assert_eq!(keys().read(&value), Some(user));
        assert_eq!(CookieKeys::of(&Secret::new([2; 32])).read(&value), None, "another site's");
    }

    #[test]
    fn a_value_that_was_changed_anywhere_is_none() {
        let value = keys().write(User { id: 5, at: 7 });
        for at in 0..value.len() {
            for byte in 0..=255u8 {
                let mut changed = value;
                changed[at] = byte;
                assert_eq!(keys().read(&changed).is_some(), byte == value[at], "{at}: {byte}");
            }
        }
        for end in 0..value.len() {
            assert_eq!(keys().read(&value[..end]), None);
        }
        assert_eq!(keys().read(&[&value[..], b"0"].concat()), None);
    }

    #[test]
    fn a_cookie_is_issued_anew_at_half_its_time() {
        let due = |now| User { id: 1, at: 1000 }.is_due(now, Duration::from_secs(60));
        assert!(!due(1000) && !due(1029) && due(1030) && due(5000) && !due(980) && due(970));
    }

    #[test]
    fn ids_show_nothing_of_what_was_drawn() {
        let (one, two) = (keys().welcome(1, 9), keys().welcome(2, 9));
        assert_eq!((one.at, two.at), (9, 9));
        assert!(one.id != two.id && one.id > 1 << 32 && two.id > 1 << 32, "{one:?} {two:?}");
    }
}
