//! Blocks of header fields of HTTP/2, read (RFC 7541), and written without a table.
//!
//! A block is read to its end whatever it says, since its table is for the whole connection; fields beyond
//! the limit are counted and not kept.

mod huffman;
mod statics;

use std::collections::VecDeque;
use std::ops::Range;

/// Bytes of the table that the other side may fill: what it goes by before it hears of another limit.
const TABLE: usize = 4096;
/// What a field counts for beside its bytes.
const OVERHEAD: usize = 32;
/// Bytes and fields of most requests: no more memory is asked for.
const USUAL_BYTES: usize = 512;
const USUAL_FIELDS: usize = 16;
/// Bits of a number, at most.
const LAST_SHIFT: u32 = 21;

/// A block that means nothing; the table is lost with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) struct Broken;

/// The fields of a block, in their order.
#[derive(Debug)]
pub(in crate::proxy) struct FieldList {
    bytes: Vec<u8>,
    fields: Vec<Spans>,
    /// Size of all fields, those that were not kept included.
    size: usize,
    is_over_size: bool,
}

#[derive(Clone, Debug)]
struct Spans {
    name: Range<usize>,
    value: Range<usize>,
    known: u8,
}

/// A field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) struct Field<'a> {
    pub name: &'a [u8],
    pub value: &'a [u8],
    /// Where its name stands in the static table; 0: nowhere known.
    pub known: u8,
}

impl FieldList {
    fn new() -> Self {
        let (bytes, fields) = (Vec::with_capacity(USUAL_BYTES), Vec::with_capacity(USUAL_FIELDS));
        FieldList { bytes, fields, size: 0, is_over_size: false }
    }

    pub(in crate::proxy) fn iter(&self) -> impl Iterator<Item = Field<'_>> {
        self.fields.iter().map(|field| Field {
            name: self.bytes.get(field.name.clone()).unwrap_or_default(),
            value: self.bytes.get(field.value.clone()).unwrap_or_default(),
            known: field.known,
        })
    }

    #[cfg(test)]
    pub(in crate::proxy) fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there was more than was to be kept.
    pub(in crate::proxy) fn is_over_size(&self) -> bool {
        self.is_over_size
    }

    fn push(&mut self, name: &[u8], value: &[u8], known: u8, most: usize) {
        self.size = self.size.saturating_add(name.len()).saturating_add(value.len()).saturating_add(OVERHEAD);
        self.is_over_size |= self.size > most;
        // A request is known by its first fields, however many follow.
        if self.is_over_size && !name.starts_with(b":") {
            return;
        }
        if self.is_over_size && self.bytes.len().saturating_add(value.len()) > most.saturating_mul(2) {
            return;
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name);
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.fields.push(Spans { name: start..middle, value: middle..self.bytes.len(), known });
    }
}

/// Reads the blocks of one connection.
#[derive(Debug)]
pub(in crate::proxy) struct HpackReader {
    table: VecDeque<Entry>,
    size: usize,
    limit: usize,
    /// A text that was in Huffman's code.
    name: Vec<u8>,
    value: Vec<u8>,
}

#[derive(Debug)]
struct Entry {
    /// Its name, then its value.
    bytes: Box<[u8]>,
    name: usize,
    known: u8,
}

impl Default for HpackReader {
    fn default() -> Self {
        let table = VecDeque::new();
        HpackReader { table, size: 0, limit: TABLE, name: Vec::new(), value: Vec::new() }
    }
}

impl HpackReader {
    /// Reads a whole block; of its fields, `most` bytes are kept.
    ///
    /// # Errors
    /// [`Broken`], after which no further block can be read.
    pub(in crate::proxy) fn read(&mut self, block: &[u8], most: usize) -> Result<FieldList, Broken> {
        let mut list = FieldList::new();
        let mut rest = block;
        let mut is_first = true;
        while let Some(first) = rest.first().copied() {
            match first {
                0x80.. => {
                    let index = number(&mut rest, 7)?;
                    self.indexed(index, &mut list, most)?;
                }
                0x40.. => self.literal(&mut rest, 6, true, &mut list, most)?,
                0x20.. => {
                    // Only before all fields (RFC 7541, 4.2).
                    let size = number(&mut rest, 5)?;
                    if !is_first || size > TABLE {
                        return Err(Broken);
                    }
                    self.limit = size;
                    self.shrink(0);
                    continue;
                }
                _ => self.literal(&mut rest, 4, false, &mut list, most)?,
            }
            is_first = false;
        }
        Ok(list)
    }

    fn indexed(&self, index: usize, list: &mut FieldList, most: usize) -> Result<(), Broken> {
        if let Some((name, value)) = index.checked_sub(1).and_then(|at| statics::FIELDS.get(at)) {
            list.push(name.as_bytes(), value.as_bytes(), index as u8, most);
            return Ok(());
        }
        let entry = self.entry(index).ok_or(Broken)?;
        let (name, value) = entry.bytes.split_at_checked(entry.name).ok_or(Broken)?;
        list.push(name, value, entry.known, most);
        Ok(())
    }

    fn literal(
        &mut self,
        rest: &mut &[u8],
        bits: u32,
        is_added: bool,
        list: &mut FieldList,
        most: usize,
    ) -> Result<(), Broken> {
        let index = number(rest, bits)?;
        let mut name = std::mem::take(&mut self.name);
        let mut value = std::mem::take(&mut self.value);
        name.clear();
        value.clear();
        let mut known = 0;
        if index == 0 {
            text_of(rest, &mut name)?;
        } else if let Some((static_name, _)) = statics::FIELDS.get(index.saturating_sub(1)) {
            name.extend_from_slice(static_name.as_bytes());
            known = index as u8;
        } else {
            let entry = self.entry(index).ok_or(Broken)?;
            name.extend_from_slice(entry.bytes.get(..entry.name).unwrap_or_default());
            known = entry.known;
        }
        text_of(rest, &mut value)?;
        list.push(&name, &value, known, most);
        if is_added {
            self.add(&name, &value, known);
        }
        (self.name, self.value) = (name, value);
        Ok(())
    }

    fn entry(&self, index: usize) -> Option<&Entry> {
        self.table.get(index.checked_sub(statics::FIELDS.len())?.checked_sub(1)?)
    }

    fn add(&mut self, name: &[u8], value: &[u8], known: u8) {
        let size = name.len().saturating_add(value.len()).saturating_add(OVERHEAD);
        self.shrink(size);
        if size > self.limit {
            return;
        }
        self.size += size;
        self.table.push_front(Entry { bytes: [name, value].concat().into(), name: name.len(), known });
    }

    /// Drops the oldest entries until so much has room.
    fn shrink(&mut self, room: usize) {
        while self.size.saturating_add(room) > self.limit {
            let Some(oldest) = self.table.pop_back() else { return };
            self.size = self.size.saturating_sub(oldest.bytes.len().saturating_add(OVERHEAD));
        }
    }
}

/// A number in the last `bits` of the next byte, and behind it (RFC 7541, 5.1).
fn number(rest: &mut &[u8], bits: u32) -> Result<usize, Broken> {
    let (first, mut behind) = rest.split_first().ok_or(Broken)?;
    let most = (1_usize << bits) - 1;
    let mut number = usize::from(*first) & most;
    if number == most {
        let mut shift = 0;
        loop {
            let (byte, next) = behind.split_first().ok_or(Broken)?;
            behind = next;
            if shift > LAST_SHIFT {
                return Err(Broken);
            }
            number = number.saturating_add(usize::from(byte & 0x7f) << shift);
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    *rest = behind;
    Ok(number)
}

fn text_of(rest: &mut &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
    let is_coded = rest.first().is_some_and(|byte| byte & 0x80 != 0);
    let length = number(rest, 7)?;
    let (text, behind) = rest.split_at_checked(length).ok_or(Broken)?;
    *rest = behind;
    if is_coded {
        return huffman::decode(text, out);
    }
    out.extend_from_slice(text);
    Ok(())
}

/// Writes a field that is added to no table.
pub(in crate::proxy) fn write(field: Field<'_>, out: &mut Vec<u8>) {
    write_number(usize::from(field.known), 4, out);
    if field.known == 0 {
        text(field.name, out);
    }
    text(field.value, out);
}

/// Writes a field that the static table has.
pub(in crate::proxy) fn write_static(index: u8, out: &mut Vec<u8>) {
    out.push(0x80 | index);
}

/// Writes a string as it is (RFC 7541, 5.2).
pub(in crate::proxy) fn text(text: &[u8], out: &mut Vec<u8>) {
    write_number(text.len(), 7, out);
    out.extend_from_slice(text);
}

fn write_number(number: usize, bits: u32, out: &mut Vec<u8>) {
    let most = (1_usize << bits) - 1;
    if number < most {
        return out.push(number as u8);
    }
    out.push(most as u8);
    let mut rest = number - most;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests;
