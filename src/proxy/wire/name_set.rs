//! Names of fields that go together: most heads have none of them, which their bits tell at once.

/// Names in lower case, and a bit for each.
#[derive(Debug)]
pub(in crate::proxy) struct NameSet {
    pub(super) names: &'static [&'static str],
    /// See [`tag`].
    pub(super) bits: u64,
}

impl NameSet {
    pub(in crate::proxy) const fn new(names: &'static [&'static str]) -> Self {
        let (mut bits, mut rest) = (0, names);
        while let [name, others @ ..] = rest {
            bits |= 1 << tag(name.as_bytes());
            rest = others;
        }
        NameSet { names, bits }
    }

    /// Whether a name in lower case is one of them.
    pub(super) fn has(&self, name: &str) -> bool {
        self.bits & 1 << tag(name.as_bytes()) != 0 && self.names.contains(&name)
    }
}

/// The number of one of 64 bits, by a name's length and its first letter in either case.
pub(super) const fn tag(name: &[u8]) -> u8 {
    let letter = match name {
        [first, ..] => *first & 0x1f,
        [] => 0,
    };
    (name.len() as u8).wrapping_mul(5).wrapping_add(letter) & 63
}
