//! The fields of a head as they were sent: bytes, and where in them each field stands.

use super::head::{is_token, value_end};
use super::name_set::{NameSet, tag};
use super::spelling::{is_same, write_value};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use pingora_http::header_value_from_raw;

/// Most fields of one head.
const MOST_FIELDS: usize = 256;
/// Fields that most heads have no more of.
const USUAL_FIELDS: usize = 16;

const MALFORMED: &str = "a malformed header field";

/// The fields, and what is changed of them.
#[derive(Debug)]
pub(in crate::proxy) struct SentFields {
    raw: Bytes,
    lines: Vec<FieldLine>,
    set: Vec<(HeaderName, HeaderValue)>,
    /// A bit for each name that came: most names that are asked for are none of them.
    names: u64,
}

/// One field, by where its parts begin and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) struct FieldLine {
    name: (u32, u32),
    value: (u32, u32),
    /// Where the next line begins.
    next: u32,
    /// The name's, see [`tag`].
    tag: u8,
    is_struck: bool,
    /// Whether it is written as it came: one space before the value, and nothing behind it.
    is_plain: bool,
}

/// Where the fields stand in the bytes that begin at `at`, and where what follows their empty line begins; `None`
/// where that has not come.
///
/// # Errors
/// What is wrong with them.
pub(super) fn read(bytes: &[u8], at: usize) -> Result<Option<(Vec<FieldLine>, usize)>, &'static str> {
    if u32::try_from(bytes.len()).is_err() {
        return Err("it is too large");
    }
    let (mut lines, mut at) = (Vec::with_capacity(USUAL_FIELDS), at);
    loop {
        match line_end(bytes, at)? {
            LineEnd::At(next) => return Ok(Some((lines, next))),
            LineEnd::Open => return Ok(None),
            LineEnd::Elsewhere => {}
        }
        let Some(line) = line(bytes, at)? else { return Ok(None) };
        if lines.len() >= MOST_FIELDS {
            return Err("it has too many header fields");
        }
        at = line.next as usize;
        lines.push(line);
    }
}

/// Whether a line ends here.
enum LineEnd {
    /// And where the next begins.
    At(usize),
    Elsewhere,
    /// That has not come.
    Open,
}

fn line_end(bytes: &[u8], at: usize) -> Result<LineEnd, &'static str> {
    Ok(match (bytes.get(at), bytes.get(at + 1)) {
        (Some(b'\n'), _) => LineEnd::At(at + 1),
        (Some(b'\r'), Some(b'\n')) => LineEnd::At(at + 2),
        (None, _) | (Some(b'\r'), None) => LineEnd::Open,
        (Some(b'\r'), Some(_)) => return Err(MALFORMED),
        _ => LineEnd::Elsewhere,
    })
}

fn line(bytes: &[u8], start: usize) -> Result<Option<FieldLine>, &'static str> {
    let name = bytes.get(start..).unwrap_or_default();
    let colon = start + name.iter().position(|byte| !is_token(*byte)).unwrap_or(name.len());
    match bytes.get(colon) {
        None => return Ok(None),
        Some(b':') if colon > start => {}
        Some(b' ' | b'\t') if colon == start => return Err("a folded header field"),
        Some(_) => return Err(MALFORMED),
    }
    let rest = bytes.get(colon + 1..).unwrap_or_default();
    let length = value_end(rest);
    let next = match line_end(rest, length)? {
        LineEnd::At(next) => colon + 1 + next,
        LineEnd::Open => return Ok(None),
        LineEnd::Elsewhere => return Err(MALFORMED),
    };
    let value = rest.get(..length).unwrap_or_default();
    let (before, after) = spaces(value);
    let is_plain = before == 1 && value.starts_with(b" ") && after == 0 && rest.get(length) == Some(&b'\r');
    let tag = tag(name.get(..colon - start).unwrap_or_default());
    let name = (start as u32, colon as u32);
    let value = ((colon + 1 + before) as u32, (colon + 1 + length - after) as u32);
    Ok(Some(FieldLine { name, value, next: next as u32, tag, is_struck: false, is_plain }))
}

/// How many spaces and tabs stand before a value, and how many behind it.
fn spaces(value: &[u8]) -> (usize, usize) {
    let is_space = |byte: u8| matches!(byte, b' ' | b'\t');
    // As nearly all are written.
    if let [b' ', first, .., last] | [b' ', first @ last] = value
        && !is_space(*first)
        && !is_space(*last)
    {
        return (1, 0);
    }
    let after = value.iter().rev().take_while(|byte| is_space(**byte)).count();
    let before = value.iter().take(value.len() - after).take_while(|byte| is_space(**byte)).count();
    (before, after)
}

impl SentFields {
    pub(super) fn new(raw: Bytes, lines: Vec<FieldLine>) -> Self {
        let names = lines.iter().fold(0, |bits, line| bits | 1 << line.tag);
        SentFields { raw, lines, set: Vec::new(), names }
    }

    pub(super) fn set_here(&self) -> &[(HeaderName, HeaderValue)] {
        &self.set
    }

    pub(super) fn get(&self, name: &HeaderName) -> Option<&[u8]> {
        if let Some(line) = self.lines_of(name.as_str()).next() {
            return Some(self.part(line.value));
        }
        self.set_to(name).next()
    }

    /// All values of a name.
    pub(super) fn values<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]> {
        self.lines_of(name.as_str()).map(|line| self.part(line.value)).chain(self.set_to(name))
    }

    /// The value of a name, and whether it is the only one.
    pub(super) fn first(&self, name: &HeaderName) -> Option<(&[u8], bool)> {
        let mut lines = self.lines_of(name.as_str());
        let mut set = self.set_to(name);
        match lines.next() {
            Some(line) => Some((self.part(line.value), lines.next().is_none() && set.next().is_none())),
            None => set.next().map(|first| (first, set.next().is_none())),
        }
    }

    pub(super) fn remove(&mut self, name: &HeaderName) {
        let wanted = name.as_str().as_bytes();
        let tag = tag(wanted);
        if self.names & 1 << tag != 0 {
            let raw = &*self.raw;
            for line in self.lines.iter_mut().filter(|line| line.tag == tag) {
                line.is_struck |= line.is(raw, wanted);
            }
        }
        if !self.set.is_empty() {
            self.set.retain(|(other, _)| other != name);
        }
    }

    pub(super) fn remove_all(&mut self, names: &NameSet) {
        if self.names & names.bits != 0 {
            let raw = &*self.raw;
            for line in self.lines.iter_mut().filter(|line| names.bits & 1 << line.tag != 0) {
                line.is_struck |= names.names.iter().any(|name| line.is(raw, name.as_bytes()));
            }
        }
        if !self.set.is_empty() {
            self.set.retain(|(name, _)| !names.has(name.as_str()));
        }
    }

    pub(super) fn add(&mut self, name: HeaderName, value: HeaderValue) {
        self.set.push((name, value));
    }

    pub(super) fn size(&self) -> usize {
        let kept = self.lines.iter().filter(|line| !line.is_struck);
        let sent: u32 = kept.map(|line| line.next - line.name.0).sum();
        sent as usize
            + self.set.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>()
    }

    /// The fields apart.
    pub(super) fn to_map(&self) -> HeaderMap {
        let mut fields = HeaderMap::with_capacity(self.lines.len() + self.set.len());
        for line in self.lines.iter().filter(|line| !line.is_struck) {
            if let Ok(name) = HeaderName::from_bytes(self.part(line.name)) {
                let value = header_value_from_raw(self.raw.slice_ref(self.part(line.value)));
                // One that is full takes no more.
                let _ = fields.try_append(name, value);
            }
        }
        for (name, value) in &self.set {
            let _ = fields.try_append(name, value.clone());
        }
        fields
    }

    /// Writes what came and is not struck out, as it was spelled. Lines that are written as they came, and follow each
    /// other, are copied together.
    pub(super) fn write(&self, is_left_out: &impl Fn(&[u8]) -> bool, out: &mut Vec<u8>) {
        let mut together: Option<(u32, u32)> = None;
        for line in self.lines.iter().filter(|line| !line.is_struck) {
            let name = self.part(line.name);
            if is_left_out(name) {
                continue;
            }
            match &mut together {
                Some((_, end)) if line.is_plain && *end == line.name.0 => {
                    *end = line.next;
                    continue;
                }
                _ => {}
            }
            let before = together.take();
            out.extend_from_slice(before.map_or(b"", |lines| self.part(lines)));
            if line.is_plain {
                together = Some((line.name.0, line.next));
            } else {
                out.extend_from_slice(name);
                write_value(self.part(line.value), out);
            }
        }
        out.extend_from_slice(together.map_or(b"", |lines| self.part(lines)));
    }

    /// The lines of a name; none are looked at where no name that came is like it.
    fn lines_of<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a FieldLine> {
        let (wanted, raw) = (name.as_bytes(), &*self.raw);
        let tag = tag(wanted);
        let lines = if self.names & 1 << tag != 0 { self.lines.as_slice() } else { &[] };
        lines.iter().filter(move |line| line.tag == tag && line.is(raw, wanted))
    }

    fn set_to<'a>(&'a self, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
        self.set.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_bytes())
    }

    fn part(&self, (start, end): (u32, u32)) -> &[u8] {
        self.raw.get(start as usize..end as usize).unwrap_or_default()
    }
}

impl FieldLine {
    /// Whether it has a name, and is not struck out.
    #[inline]
    fn is(&self, raw: &[u8], wanted: &[u8]) -> bool {
        let (start, end) = (self.name.0 as usize, self.name.1 as usize);
        end - start == wanted.len()
            && !self.is_struck
            && raw.get(start..end).is_some_and(|sent| is_same(sent, wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::super::answer_head::AnswerHead;
    use super::*;
    use http::header::{CONTENT_TYPE, ETAG, VARY};
    use http::{StatusCode, Version};
    use proptest::prelude::*;

    const NAMES: [HeaderName; 3] = [CONTENT_TYPE, ETAG, VARY];
    static SOME: NameSet = NameSet::new(&["etag", "x-none", "vary"]);

    fn head(raw: &[u8]) -> AnswerHead {
        let raw = Bytes::copy_from_slice(raw);
        let (lines, end) = read(&raw, 0).expect("fields").expect("an end");
        assert_eq!(end, raw.len());
        AnswerHead::sent((Version::HTTP_11, StatusCode::OK), None, SentFields::new(raw, lines))
    }

    fn written(head: &AnswerHead) -> Vec<String> {
        let mut out = Vec::new();
        head.write(|name| name.eq_ignore_ascii_case(b"date"), &mut out);
        let text = String::from_utf8(out).expect("text").to_ascii_lowercase();
        let mut lines: Vec<_> = text.split_terminator("\r\n").map(str::to_owned).collect();
        lines.sort();
        lines
    }

    proptest! {
        #[test]
        fn what_was_sent_and_its_fields_apart_come_to_the_same(
            sent in prop::collection::vec((0usize..3, 0u8..9), 0..6),
            steps in prop::collection::vec((0usize..3, 0u8..4, 0u8..9), 0..8),
        ) {
            let digit = |n: u8| HeaderValue::from_bytes(&[b'0' + n]).expect("a value");
            let mut raw = "DATE:x\r\n".to_owned();
            for (name, n) in &sent {
                // Some as they are written, which are copied together, and some that are not.
                let (space, end) = [(" ", "\r\n"), (" \t", " \r\n"), (" ", "\n")][usize::from(*n) % 3];
                raw += &format!("{}:{space}{n}{end}", NAMES[*name].as_str().to_ascii_uppercase());
            }
            let [mut one, mut other] = [(), ()].map(|()| head(format!("{raw}\r\n").as_bytes()));
            other = AnswerHead::from(other.into_parts());
            for (name, step, n) in steps {
                let name = NAMES[name].clone();
                for head in [&mut one, &mut other] {
                    match step {
                        0 => head.remove(&name),
                        1 => head.set(name.clone(), digit(n)),
                        2 => head.remove_all(&SOME),
                        _ => head.add(name.clone(), digit(n)),
                    }
                }
            }
            for name in NAMES {
                let values = |head: &AnswerHead| head.values(&name).map(<[u8]>::to_vec).collect::<Vec<_>>();
                prop_assert_eq!(values(&one), values(&other));
            }
            prop_assert_eq!(written(&one), written(&other));
            prop_assert_eq!(one.into_parts().headers, other.into_parts().headers);
        }

        #[test]
        fn pieces_are_read_as_the_whole_is(bytes in prop::collection::vec(prop::sample::select(&b"a: \t\r\n;"[..]), 0..60)) {
            let whole = read(&bytes, 0);
            for end in 0..bytes.len() {
                match read(&bytes[..end], 0) {
                    Ok(None) => {}
                    early => prop_assert_eq!(&early, &whole, "{}", end),
                }
            }
        }
    }
}
