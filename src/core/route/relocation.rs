//! Redirects of an upstream that name the upstream itself, as the client can follow them.

use crate::core::template::Template;
use crate::core::variable::Facts;

/// What a `Location` may begin with, up to the end of a name, and what it begins with for the client.
#[derive(Clone, Debug, PartialEq)]
pub struct Relocation {
    pub from: String,
    pub to: Template,
}

impl Relocation {
    /// The place for the client; `None` where this one begins otherwise.
    pub fn relocated(&self, location: &[u8], facts: &Facts<'_>) -> Option<Vec<u8>> {
        let rest = location.strip_prefix(self.from.as_bytes())?;
        let ends = self.from.ends_with('/') || matches!(rest.first(), None | Some(b'/' | b'?' | b'#'));
        if !ends {
            return None;
        }
        let mut place = Vec::with_capacity(location.len().saturating_add(32));
        self.to.fill(facts, &mut place);
        // Two slashes would name a host.
        let slashes = rest.iter().take_while(|byte| **byte == b'/' && place.ends_with(b"/")).count();
        place.extend_from_slice(rest.get(slashes..).unwrap_or_default());
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::template::Vocabulary;

    #[test]
    fn what_begins_with_it_begins_otherwise() {
        let relocated = |from: &str, to, location: &str| {
            let to = Template::parse(to, &Vocabulary::of_requests()).expect("accepted");
            let facts = Facts { host: "shop.example", scheme: "https", ..Facts::NONE };
            let place = Relocation { from: from.to_owned(), to }.relocated(location.as_bytes(), &facts);
            place.map(|place| String::from_utf8(place).expect("text"))
        };
        for (from, to, location, expected) in [
            ("http://app/v2/", "/api/", "http://app/v2/x?y", Some("/api/x?y")),
            ("http://app/v2/", "/api/", "http://app/v3/x", None),
            ("http://app/", "/", "http://app//evil.example", Some("/evil.example")),
            ("http://app", "$scheme://$host", "http://app/x", Some("https://shop.example/x")),
            ("http://app", "$scheme://$host", "http://app.example/x", None),
            ("http://", "$scheme://", "http://app.example/x", Some("https://app.example/x")),
        ] {
            assert_eq!(relocated(from, to, location).as_deref(), expected, "{location}");
        }
    }
}
