//! Who comes in: a field that a client sends, and a file that operators write.

use crate::core::credentials;
use crate::core::htpasswd::Htpasswd;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};

/// A value of `Authorization` on the first line, a file of passwords behind it.
pub fn access(data: &[u8]) {
    let feed = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (field, file) = data.split_at(feed);
    shown(field);
    users(&String::from_utf8_lossy(file));
}

/// What is read, written once more, is read as the same.
fn shown(field: &[u8]) {
    let read = |field: &[u8]| {
        let value = HeaderValue::from_bytes(field).ok()?;
        credentials::of(&HeaderMap::from_iter([(AUTHORIZATION, value)]))
    };
    let Some(found) = read(field) else { return };
    assert!(!found.name.is_empty() && !found.name.contains(':'));
    let pair = [found.name.as_bytes(), b":", &found.password].concat();
    let again = read(format!("Basic {}", STANDARD.encode(pair)).as_bytes());
    assert_eq!(again.map(|again| (again.name, again.password)), Some((found.name, found.password)));
}

fn users(text: &str) {
    match Htpasswd::parse(text) {
        Ok(users) => {
            // What takes long to verify is left to the unit tests.
            if !["$2", "$5$", "$6$"].iter().any(|scheme| text.contains(scheme)) {
                assert!(!users.verify("nobody's name", b"x"));
                users.in_the_clear().for_each(|name| assert!(users.hash_of(name).is_some()));
            }
        }
        Err(bad) => {
            let lines = text.lines().count().max(1);
            assert!(!bad.is_empty() && bad.iter().all(|bad| bad.line <= lines && !bad.detail.is_empty()));
        }
    }
}
