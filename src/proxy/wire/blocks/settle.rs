//! What the fields of a block become: a request in words that the library below takes, or one that is refused.
//!
//! The rules are those of a head of HTTP/1 ([`head`]), and RFC 9113's, 8.2 and 8.3: what they
//! call malformed is answered 400 rather than reset, so that its client learns why.

use super::BlockLimits;
use crate::proxy::wire::head::{self, is_method, is_name, is_target_text, is_value};
use crate::proxy::wire::host::is_host;
use crate::proxy::wire::hpack::{self, Field, FieldList, text};
use crate::proxy::wire::{asked, target};

/// A block in other words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SettledBlock {
    pub block: Vec<u8>,
    pub is_refused: bool,
}

/// Places in the static table.
const AUTHORITY: u8 = 1;
const GET: u8 = 2;
const POST: u8 = 3;
const SLASH: u8 = 4;
const HTTP: u8 = 6;
const HTTPS: u8 = 7;

/// The pseudo-header fields of a request, and its host.
#[derive(Clone, Copy, Debug, Default)]
struct Pseudo<'a> {
    method: Option<&'a [u8]>,
    scheme: Option<&'a [u8]>,
    path: Option<&'a [u8]>,
    authority: Option<&'a [u8]>,
    protocol: Option<&'a [u8]>,
    host: Option<&'a [u8]>,
}

/// The request that a block becomes. One that is malformed by its frame is refused.
pub(super) fn request(list: &FieldList, limits: BlockLimits, is_malformed: bool) -> SettledBlock {
    let mut pseudo = Pseudo::default();
    let judged = judge(list, limits, &mut pseudo).and_then(|()| settled(&pseudo));
    let judged = judged.and_then(|(host, path)| if is_malformed { Err(400) } else { Ok((host, path)) });
    let (block, is_refused) = match judged {
        Ok((host, path)) => (of(list, &pseudo, host, path), false),
        Err(status) => (refused(status, &pseudo), true),
    };
    SettledBlock { block, is_refused }
}

/// Whether a late block can be trailers. They go nowhere; but with a pseudo-header field it is a request on a
/// stream that has had one, or an attempt to make one of two.
pub(super) fn are_trailers(list: &FieldList) -> bool {
    list.iter().all(|field| is_sound(&field))
}

/// Looks at all fields, and notes those that the request line is made of.
fn judge<'a>(list: &'a FieldList, limits: BlockLimits, pseudo: &mut Pseudo<'a>) -> Result<(), u16> {
    let (mut fault, mut lengths, mut fields, mut is_late) = (None, 0, 0, false);
    for field in list.iter() {
        let is_legal = match field.name.first() {
            Some(b':') => pseudo.note(field).is_some() && !is_late,
            _ => {
                is_late = true;
                fields += 1;
                lengths += u32::from(field.name == b"content-length");
                is_sound(&field) && pseudo.note_host(field).is_some() && is_for_us(field)
            }
        };
        if !is_legal {
            fault = fault.or(Some(400));
        }
    }
    if list.is_over_size() || fields > limits.fields {
        return Err(431);
    }
    if lengths > 1 {
        return Err(400);
    }
    fault.map_or(Ok(()), Err)
}

impl<'a> Pseudo<'a> {
    fn note(&mut self, field: Field<'a>) -> Option<()> {
        let place = match field.name {
            b":method" => &mut self.method,
            b":scheme" => &mut self.scheme,
            b":path" => &mut self.path,
            b":authority" => &mut self.authority,
            b":protocol" => &mut self.protocol,
            _ => return None,
        };
        if place.is_some() {
            return None;
        }
        *place = Some(field.value);
        Some(())
    }

    fn note_host(&mut self, field: Field<'a>) -> Option<()> {
        if field.name != b"host" {
            return Some(());
        }
        let is_first = self.host.is_none();
        self.host = self.host.or(Some(field.value));
        is_first.then_some(())
    }
}

/// A name of small letters, and a value without control bytes.
fn is_sound(field: &Field<'_>) -> bool {
    let is_lower = !field.name.iter().any(u8::is_ascii_uppercase);
    is_name(field.name) && is_lower && is_value(field.value)
}

/// Nothing that is of HTTP/1's connections (RFC 9113, 8.2.2), and a length that is one.
fn is_for_us(field: Field<'_>) -> bool {
    match field.name {
        b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade" => false,
        b"te" => field.value == b"trailers",
        b"content-length" => head::length(field.value).is_some(),
        _ => true,
    }
}

/// The host and the path that a request goes by.
fn settled<'a>(pseudo: &Pseudo<'a>) -> Result<(&'a [u8], &'a [u8]), u16> {
    let method = pseudo.method.filter(|method| is_method(method)).ok_or(400_u16)?;
    if method == b"CONNECT" {
        return Err(405);
    }
    let is_scheme = |scheme: &&[u8]| {
        let legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
        scheme.first().is_some_and(u8::is_ascii_alphabetic) && scheme.iter().all(legal)
    };
    pseudo.scheme.filter(is_scheme).ok_or(400_u16)?;
    let host = match (pseudo.authority, pseudo.host) {
        (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => return Err(400),
        (Some(host), _) | (None, Some(host)) => host,
        (None, None) => return Err(400),
    };
    let path = pseudo.path.ok_or(400_u16)?;
    let is_path = path.starts_with(b"/") || path == b"*" && method == b"OPTIONS";
    if !is_host(host) || !is_path || !is_target_text(path) || pseudo.protocol.is_some() {
        return Err(400);
    }
    if path.len() > target::LONGEST { Err(414) } else { Ok((host, path)) }
}

fn of(list: &FieldList, pseudo: &Pseudo<'_>, host: &[u8], path: &[u8]) -> Vec<u8> {
    let mut block = Vec::with_capacity(512);
    match pseudo.method {
        Some(b"GET") => hpack::write_static(GET, &mut block),
        Some(b"POST") => hpack::write_static(POST, &mut block),
        method => known(GET, method.unwrap_or_default(), &mut block),
    }
    let is_tls = pseudo.scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"https"));
    hpack::write_static(if is_tls { HTTPS } else { HTTP }, &mut block);
    let is_carried = target::is_carried(path);
    match is_carried {
        true => known(SLASH, path, &mut block),
        false => known(SLASH, &target::carried(path), &mut block),
    }
    known(AUTHORITY, host, &mut block);
    for field in list.iter() {
        let is_replaced = field.name.starts_with(b":") || field.name == b"host" || asked::is_own(field.name);
        if !is_replaced {
            hpack::write(field, &mut block);
        }
    }
    if !is_carried {
        hpack::write(Field { name: asked::NAME, value: path, known: 0 }, &mut block);
    }
    block
}

/// The request that stands for one that is refused.
fn refused(status: u16, pseudo: &Pseudo<'_>) -> Vec<u8> {
    let mut block = Vec::with_capacity(128);
    match pseudo.method {
        Some(b"HEAD") => known(GET, b"HEAD", &mut block),
        _ => hpack::write_static(GET, &mut block),
    }
    hpack::write_static(HTTP, &mut block);
    hpack::write_static(SLASH, &mut block);
    known(AUTHORITY, b"refused", &mut block);
    let host = pseudo.authority.or(pseudo.host).unwrap_or_default();
    let method = pseudo.method.unwrap_or_default();
    let value = asked::refusal(status, method, pseudo.path.unwrap_or(host), host);
    hpack::write(Field { name: asked::NAME, value: &value, known: 0 }, &mut block);
    block
}

fn known(index: u8, value: &[u8], block: &mut Vec<u8>) {
    block.push(index);
    text(value, block);
}
