//! The name and the password that a request shows (RFC 7617).

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};

const BASIC: &[u8] = b"basic ";
/// As clients write it, some without its end.
const WRITTEN: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a client says who it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub name: Box<str>,
    pub password: Box<[u8]>,
}

/// Without the password.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({:?})", self.name)
    }
}

/// The credentials of a request. Of two lines, the upstream might believe the other: they are none.
pub fn of(headers: &HeaderMap) -> Option<Credentials> {
    let mut lines = headers.get_all(AUTHORIZATION).iter().map(HeaderValue::as_bytes);
    let (Some(line), None) = (lines.next(), lines.next()) else { return None };
    let (scheme, written) = line.split_at_checked(BASIC.len())?;
    if !scheme.eq_ignore_ascii_case(BASIC) {
        return None;
    }
    let shown = WRITTEN.decode(written.trim_ascii()).ok()?;
    let colon = shown.iter().position(|byte| *byte == b':')?;
    let (name, password) = shown.split_at_checked(colon)?;
    let name = std::str::from_utf8(name).ok().filter(|name| !name.is_empty())?;
    Some(Credentials { name: name.into(), password: password.get(1..)?.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(lines: &[&str]) -> Option<(String, Vec<u8>)> {
        let line = |line: &&str| (AUTHORIZATION, HeaderValue::from_str(line).expect("a value"));
        let found = of(&lines.iter().map(line).collect())?;
        Some((found.name.into(), found.password.into()))
    }

    #[test]
    fn a_name_and_a_password_are_read_from_one_line() {
        let ana = Some(("ana".to_owned(), b"se:cret".to_vec()));
        for line in ["Basic YW5hOnNlOmNyZXQ=", "basic  YW5hOnNlOmNyZXQ", "BASIC YW5hOnNlOmNyZXQ= "] {
            assert_eq!(shown(&[line]), ana, "{line}");
        }
        assert_eq!(shown(&["Basic YW5hOg=="]), Some(("ana".to_owned(), Vec::new())));
        for line in
            ["", "Basic", "Basic ", "Basic ana:x", "Basic YW5h", "Basic OnNlY3JldA==", "Bearer YW5hOng="]
        {
            assert_eq!(shown(&[line]), None, "{line}");
        }
        assert_eq!(shown(&["Basic YW5hOng=", "Basic YW5hOng="]), None, "two lines");
    }
}
