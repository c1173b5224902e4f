//! The shape of a path: its first two segments, with what looks like an identifier folded to `*`.

/// Segments that count.
const SEGMENTS: usize = 2;
/// The longest segment that is taken by its name, and from when on one with digits in it is an identifier.
const LONGEST: usize = 32;
const MIXED: usize = 10;
/// The shortest word of hexadecimal digits that is an identifier.
const HEX: usize = 8;

/// A route, a method, and the shape of a path, as one number: never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape(u64);

impl Shape {
    /// Of a path that may have a query.
    pub fn of(route: usize, method: &[u8], path: &[u8]) -> Self {
        let mut hash = step(0xcbf2_9ce4_8422_2325, route as u64);
        hash = word(hash, method);
        for segment in segments(path) {
            hash = word(step(hash, 1), segment);
        }
        // The low bits of a product are weak.
        Shape((hash ^ hash >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The key of its group.
    pub fn key(self) -> u64 {
        self.0
    }
}

/// The path of what a request asks for, which may be a whole URL.
pub fn path(target: &[u8]) -> &[u8] {
    let is_path = target.first() == Some(&b'/');
    let scheme = target.windows(3).position(|three| three == b"://").filter(|_| !is_path);
    let Some(behind) = scheme.and_then(|scheme| target.get(scheme + 3..)) else { return target };
    behind.iter().position(|byte| *byte == b'/').and_then(|start| behind.get(start..)).unwrap_or(b"/")
}

/// "GET /users/*"
pub fn name(method: &str, path: &[u8]) -> String {
    let mut name = format!("{method} ");
    for part in parts(path) {
        name.push_str(&String::from_utf8_lossy(part));
    }
    name
}

/// What the name of a group says of a path, in pieces: "/", "users", "/", "*".
pub fn parts(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut segments = segments(path).peekable();
    let root = segments.peek().is_none().then_some(&b"/"[..]);
    segments.flat_map(|segment| [&b"/"[..], segment]).chain(root)
}

/// The first segments of a path; those that are empty do not count.
fn segments(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let end = path.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(path.len());
    let path = path.get(..end).unwrap_or_default();
    let named = path.split(|byte| *byte == b'/').filter(|segment| !segment.is_empty());
    named.take(SEGMENTS).map(|segment| if is_identifier(segment) { b"*" } else { segment })
}

fn is_identifier(segment: &[u8]) -> bool {
    let (mut digits, mut hex) = (0, 0);
    for byte in segment {
        digits += usize::from(byte.is_ascii_digit());
        hex += usize::from(byte.is_ascii_hexdigit() || *byte == b'-');
    }
    let all = segment.len();
    let is_number = digits == all;
    let is_hex = hex == all && all >= HEX && digits > 0;
    let is_mixed = all >= MIXED && digits >= 2;
    is_number || is_hex || is_mixed || all > LONGEST
}

/// FNV-1a, eight bytes at a time.
fn word(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        hash = step(hash, chunk.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)));
    }
    let rest = chunks.remainder().iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    step(hash, rest | (bytes.len() as u64) << 56)
}

fn step(hash: u64, word: u64) -> u64 {
    let mixed = (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3);
    mixed ^ mixed >> 29
}
