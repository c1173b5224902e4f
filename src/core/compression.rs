//! Which answers are compressed, and how: by their type and by what the client accepts.

/// `[compression]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compression {
    /// In the order of preference.
    pub algorithms: Vec<Algorithm>,
    /// Media types in lower case, without parameters; `*` is any.
    pub types: Vec<String>,
    /// Bodies that are known to be shorter stay as they are.
    pub min_size: u64,
    /// 1 to 9.
    pub gzip_level: u32,
    /// 0 to 11.
    pub br_level: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Brotli,
    Gzip,
}

impl Algorithm {
    /// As it stands in `Content-Encoding`.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Brotli => "br",
            Algorithm::Gzip => "gzip",
        }
    }

    fn is_called(self, coding: &str) -> bool {
        coding.eq_ignore_ascii_case(self.name())
            || (self == Algorithm::Gzip && coding.eq_ignore_ascii_case("x-gzip"))
    }
}

impl Compression {
    /// Whether answers of this `Content-Type` are compressed. Events never are, since each must arrive by
    /// itself, and gRPC has its own compression.
    pub fn covers(&self, content_type: &str) -> bool {
        let media = content_type.split(';').next().unwrap_or_default().trim();
        let never =
            |kind: &str| media.get(..kind.len()).is_some_and(|start| start.eq_ignore_ascii_case(kind));
        let covered = self.types.iter().any(|kind| kind == "*" || kind.eq_ignore_ascii_case(media));
        covered && !never("text/event-stream") && !never("application/grpc")
    }

    /// What the client likes best among what it names (RFC 9110, 12.5.3), or nothing: `*` names no coding, and
    /// clients that send nothing else seldom decode any. `accepted` are the values of `Accept-Encoding`.
    pub fn choose<'a>(&self, accepted: impl Iterator<Item = &'a str>) -> Option<Algorithm> {
        let (mut brotli, mut gzip, mut plain) = (None, None, None);
        for (name, quality) in accepted.flat_map(|value| value.split(',')).map(coding) {
            let slot = match name {
                name if Algorithm::Brotli.is_called(name) => &mut brotli,
                name if Algorithm::Gzip.is_called(name) => &mut gzip,
                name if name.eq_ignore_ascii_case("identity") => &mut plain,
                _ => continue,
            };
            // The first word counts.
            slot.get_or_insert(quality);
        }
        let quality = |algorithm: &Algorithm| match algorithm {
            Algorithm::Brotli => brotli.unwrap_or(0),
            Algorithm::Gzip => gzip.unwrap_or(0),
        };
        let best = self.algorithms.iter().map(|algorithm| (*algorithm, quality(algorithm)));
        let best = best.reduce(|best, other| if other.1 > best.1 { other } else { best });
        best.filter(|(_, quality)| *quality > 0 && *quality >= plain.unwrap_or(0))
            .map(|(algorithm, _)| algorithm)
    }
}

/// `gzip;q=0.5`: the name, and its quality in thousandths. What cannot be read is not wanted.
fn coding(part: &str) -> (&str, u16) {
    let mut pieces = part.split(';').map(str::trim);
    let name = pieces.next().unwrap_or_default();
    let weight = pieces.find_map(|piece| piece.strip_prefix("q=").or_else(|| piece.strip_prefix("Q=")));
    (name, weight.map_or(1000, |text| thousandths(text).unwrap_or(0)))
}

/// `0`, `0.5`, `1.000`; at most three digits after the point.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    if rest.len() > 3 || !rest.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let part = rest.bytes().chain(std::iter::repeat(b'0')).take(3);
    let part = part.fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    match whole {
        "0" => Some(part),
        "1" if part == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn both() -> Compression {
        Compression {
            algorithms: vec![Algorithm::Brotli, Algorithm::Gzip],
            types: ["text/html", "application/json"].map(str::to_owned).to_vec(),
            min_size: 256,
            gzip_level: 6,
            br_level: 5,
        }
    }

    #[test]
    fn the_client_says_what_it_likes() {
        use Algorithm::{Brotli, Gzip};
        for (accepted, chosen) in [
            ("gzip, deflate, br", Some(Brotli)),
            ("gzip", Some(Gzip)),
            ("X-GZIP", Some(Gzip)),
            ("br;q=0.5, gzip;q=0.8", Some(Gzip)),
            ("br;q=0, *", None),
            ("*", None),
            ("gzip, *", Some(Gzip)),
            ("*;q=0", None),
            ("gzip;q=0.000", None),
            ("gzip;q=0.001", Some(Gzip)),
            ("gzip ; q=1.0 ", Some(Gzip)),
            ("identity, gzip;q=0.5", None),
            ("identity;q=0.5, gzip", Some(Gzip)),
            ("identity;q=0.5, gzip;q=0.5", Some(Gzip)),
            ("gzip;q=2", None),
            ("gzip;q=", None),
            ("zstd, deflate", None),
            ("gzipped", None),
            ("", None),
        ] {
            assert_eq!(both().choose([accepted].into_iter()), chosen, "{accepted:?}");
        }
        assert_eq!(both().choose(["deflate", "gzip"].into_iter()), Some(Gzip), "over several fields");
        assert_eq!(both().choose(std::iter::empty()), None);
    }

    #[test]
    fn types_are_compared_without_parameters_and_some_never_match() {
        assert!(both().covers("text/html; charset=utf-8") && both().covers("Application/JSON"));
        assert!(!both().covers("text/html5") && !both().covers("image/png") && !both().covers(""));
        let all = Compression { types: vec!["*".to_owned()], ..both() };
        assert!(all.covers("image/png"));
        for never in [
            "text/event-stream",
            "Text/Event-Stream;charset=utf-8",
            "application/grpc",
            "application/grpc+proto",
        ] {
            assert!(!all.covers(never), "{never}");
        }
    }

    proptest! {
        #[test]
        fn anything_may_be_asked_for(values in prop::collection::vec("[ -~]{0,40}", 0..4)) {
            let _ = both().choose(values.iter().map(String::as_str));
            for value in &values {
                let _ = both().covers(value);
            }
        }
    }
}
