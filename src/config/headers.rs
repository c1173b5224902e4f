//! `[headers]`, at the top and on routes.

use super::reader::{Item, Section};
use crate::core::headers::{Edits, Headers, SuccessEdits, Value};
use crate::core::template::Template;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};

/// What frames a message or belongs to one connection is the proxy's own business.
const FRAMING: [HeaderName; 10] = [
    CONNECTION,
    CONTENT_LENGTH,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("expect"),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Request,
    Response,
}

pub(super) fn headers(section: &Section<'_>) -> Headers {
    let read = |item: Option<Item<'_>>, direction| Some(edits(&item?.section()?, direction));
    let headers = Headers {
        response: read(section.item("response"), Direction::Response),
        request: read(section.item("request"), Direction::Request),
    };
    section.finish();
    headers
}

fn edits(section: &Section<'_>, direction: Direction) -> Edits {
    let fields = |key| -> (Vec<_>, Vec<_>) {
        let entries = section.section(key).entries();
        let fields = entries.iter().filter_map(|(name, item)| field(name, item, direction));
        let (on_success, always): (Vec<_>, Vec<_>) = fields.partition(|(_, is_for_success)| *is_for_success);
        let bare = |fields: Vec<(_, bool)>| fields.into_iter().map(|(field, _)| field).collect();
        (bare(always), bare(on_success))
    };
    let ((set, set_on_success), (add, add_on_success)) = (fields("set"), fields("add"));
    let on_success = SuccessEdits { set: set_on_success, add: add_on_success };
    let removed = section.item("remove").and_then(|item| item.array()).unwrap_or_default();
    let remove = removed.iter().filter_map(|item| {
        let name = item.string()?;
        self::name(&name, item, direction).filter(|name| {
            let is_host = *name == HOST;
            if is_host {
                item.fault("a request keeps its Host; set it to another value instead");
            }
            !is_host
        })
    });
    let on_success = (on_success != SuccessEdits::default()).then(|| Box::new(on_success));
    let edits = Edits { remove: remove.collect(), set, add, on_success };
    section.finish();
    edits
}

/// A field, and whether it is for successes alone: a text, or of an answer `{ value = "…", on = "success" }`.
fn field(name: &str, item: &Item<'_>, direction: Direction) -> Option<((HeaderName, Value), bool)> {
    let name = self::name(name, item, direction);
    if direction == Direction::Request || item.is_string() {
        return Some(((name?, value(item, direction)?), false));
    }
    let section = item.section()?;
    let value = section.need("value", "for example \"no-cache\"", |item| value(item, direction));
    let on = section.read("on", false, |item| item.choice(&[("always", false), ("success", true)]));
    section.finish();
    Some(((name?, value?), on))
}

fn value(item: &Item<'_>, direction: Direction) -> Option<Value> {
    item.worded(direction == Direction::Response, None, |text, vocabulary| {
        let legal = HeaderValue::from_str(text);
        legal.map_err(|_| "has a control character; a header value is one line of text".to_owned())?;
        let template = Template::parse(text, vocabulary)?;
        let fixed = template.fixed().and_then(|text| HeaderValue::from_str(text).ok());
        Ok(fixed.map_or(Value::Template(template), Value::Fixed))
    })
}

/// `headers` of a request that we make ourselves: each name with its value, which may be a secret.
pub(super) fn of_own_requests(section: &Section<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (text, item) in section.section("headers").entries() {
        let Some(name) = name(&text, &item, Direction::Request) else { continue };
        if name == HOST {
            item.fault("is a key of its own; write host = \"app.example\" beside headers");
        }
        let value = item.parsed(|text| {
            let refused = |_| "has a control character; a header value is one line of text".to_owned();
            HeaderValue::from_str(text).map_err(refused)
        });
        if let Some(mut value) = value {
            value.set_sensitive(true);
            headers.append(name, value);
        }
    }
    headers
}

/// The name of a field of a request that a service may say.
pub(super) fn granted(item: &Item<'_>) -> Option<HeaderName> {
    let name = name(&item.string()?, item, Direction::Request)?;
    if name == HOST {
        item.fault("a request keeps its Host; name another field");
    }
    Some(name)
}

/// The name of a field that answers may carry.
pub(super) fn of_answers(item: &Item<'_>) -> Option<HeaderName> {
    name(&item.string()?, item, Direction::Response)
}

fn name(text: &str, item: &Item<'_>, direction: Direction) -> Option<HeaderName> {
    let Ok(name) = HeaderName::try_from(text) else {
        item.fault(&format!("\"{text}\" is no name of a header field; write for example X-Frame-Options"));
        return None;
    };
    if FRAMING.contains(&name) || (name == HOST && direction == Direction::Response) {
        item.fault(&format!("{text} frames the message or belongs to the connection; it cannot be changed"));
        return None;
    }
    Some(name)
}
