//! Where a route leads: to exactly one of a service, a redirect, a fixed reply, files, a refusal and the
//! admin API.

use super::{Known, rewriting};
use crate::config::reader::{Item, Section};
use crate::core::route::{
    Autoindex, Fallback, FileCandidate, Files, NO_ANSWER, PathSpec, Redirect, Replacement, Reply, ReplyBody,
    Symlinks, Target,
};
use crate::core::settings::{ADMIN_MAINTENANCE, Role};
use crate::core::template::{Template, Vocabulary};
use http::HeaderValue;

const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
const KEYS: [&str; 7] = ["service", "redirect", "reply", "files", "deny", "onward", "admin"];

pub(super) fn read(section: &Section<'_>, path: &PathSpec, known: &Known<'_>) -> Option<Target> {
    let given = KEYS.iter().filter_map(|key| Some((*key, section.item(key)?)));
    let given: Vec<(&str, Item<'_>)> = given.collect();
    let Some((key, item)) = given.first() else {
        let name = known.services.first().map_or("web", String::as_str);
        section.fault(&format!(
            "leads nowhere; add service = \"{name}\", or one of redirect, reply, files, deny, onward and admin"
        ));
        return None;
    };
    for (other, item) in &given[1..] {
        item.fault(&format!("a route leads to one place: {key} or {other}, not to both"));
    }
    match *key {
        "redirect" => redirect(&item.section()?).map(Target::Redirect),
        "reply" => reply(&item.section()?).map(Target::Reply),
        "files" => files(&item.section()?, path).map(Target::Files),
        "deny" => deny(item),
        "onward" => onward(item),
        "admin" => admin(item, path, known),
        _ => service(item, known),
    }
}

fn service(item: &Item<'_>, known: &Known<'_>) -> Option<Target> {
    let name = item.string()?;
    if !known.services.contains(&name) {
        item.fault(&format!("there is no service {name}; there are: {}", known.services.join(", ")));
    }
    Some(Target::Service(name))
}

fn deny(item: &Item<'_>) -> Option<Target> {
    if !item.bool()? {
        item.fault("a route that denies nothing leads nowhere; write deny = true, or name a service");
    }
    Some(Target::Deny)
}

fn onward(item: &Item<'_>) -> Option<Target> {
    if !item.bool()? {
        item.fault("a route leads somewhere; write onward = true, or name a service");
    }
    Some(Target::Onward)
}

fn redirect(section: &Section<'_>) -> Option<Redirect> {
    let to = section
        .need("to", "for example \"https://$host$request_uri\"", |item| item.worded(false, None, location));
    let status = section.read("status", 301, rewriting::redirection);
    section.finish();
    Some(Redirect { to: to?, status })
}

/// A place that no client can choose: what it says of the path must not become the host. What the configuration gives
/// a name says by itself where to.
pub(in crate::config) fn location(text: &str, vocabulary: &Vocabulary<'_>) -> Result<Template, String> {
    let template = Template::parse(text, vocabulary)?;
    let absolute = ["https://", "http://", "$scheme://"].iter().find_map(|start| text.strip_prefix(start));
    let names_host = absolute.is_some_and(|rest| {
        ["$host", "$http_host"].iter().any(|host| rest.starts_with(host))
            || template.is_named_from(text.len() - rest.len())
            || rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[')
    });
    let names_path = text.strip_prefix('/').is_some_and(|rest| !rest.starts_with(['/', '\\', '$']));
    if !names_host && !names_path && !template.is_named_from(0) {
        return Err(format!(
            "\"{text}\" does not say where to; begin with https://, http:// or $scheme:// and a host, or with \
             / and the name of a path"
        ));
    }
    HeaderValue::from_str(text).map_err(|_| "has a control character; a place is one line".to_owned())?;
    Ok(template)
}

fn reply(section: &Section<'_>) -> Option<Reply> {
    let status = section.read("status", 200, |item| item.integer(200..=599)) as u16;
    let body = section.item("body");
    let template = body.as_ref().map_or(Some(Template::empty()), |item| item.template(false, None));
    if let Some(item) = body.filter(|_| matches!(status, 204 | 205 | 304 | NO_ANSWER)) {
        item.fault(&format!("an answer with status {status} has no body; take it out"));
    }
    let plain = HeaderValue::from_static("text/plain");
    let content_type = section.read("type", plain, |item| item.parsed(media_type));
    section.finish();
    let template = template?;
    let body = match template.fixed() {
        Some(text) => ReplyBody::Fixed(bytes::Bytes::copy_from_slice(text.as_bytes())),
        None => ReplyBody::Template(template),
    };
    Some(Reply { status, body, content_type })
}

fn media_type(text: &str) -> Result<HeaderValue, String> {
    let value = HeaderValue::from_str(text).ok().filter(|_| text.contains('/'));
    value.ok_or_else(|| format!("\"{text}\" is no media type; write for example \"text/plain\""))
}

fn files(section: &Section<'_>, path: &PathSpec) -> Option<Files> {
    let root = section.need("root", "the folder, for example \"/var/www\"", |item| {
        let root = item.file()?;
        if !root.is_dir() {
            item.fault(&format!("{} is no folder that can be read; create it", root.display()));
        }
        Some(root)
    });
    let index = section.read("index", vec!["index.html".to_owned()], index);
    let alias = section.item("alias");
    let strip = match alias.as_ref().filter(|item| item.bool() == Some(true)).zip(Some(path)) {
        None => 0,
        Some((_, PathSpec::Exact(path))) => path.len(),
        Some((_, PathSpec::Prefix { prefix, .. })) if prefix.ends_with('/') => prefix.len(),
        Some((item, _)) => {
            item.fault("takes the route's path off the request's, so it needs a path that ends in /, or an exact one");
            0
        }
    };
    let folders = section.item("folders");
    let candidates = section.item("try").and_then(|item| item.array()).unwrap_or_default();
    if let Some(item) = folders.as_ref().filter(|_| !candidates.is_empty()) {
        item.fault("try says already whether folders count: by \"$path/\"; keep one of the two");
    }
    let kinds = [("inside", Symlinks::Inside), ("off", Symlinks::Off), ("any", Symlinks::Any)];
    let files = Files {
        root: root.unwrap_or_default(),
        below: section.item("below").and_then(|item| item.worded(false, None, below)),
        index: index.into(),
        strip,
        folders: folders.and_then(|item| item.bool()).unwrap_or(true),
        candidates: candidates.iter().filter_map(|item| item.parsed(FileCandidate::parse)).collect(),
        autoindex: section.read("autoindex", Autoindex::Off, autoindex),
        symlinks: section.read("symlinks", Symlinks::Inside, |item| item.choice(&kinds)),
        default_type: section.read("default_type", OCTETS, |item| item.parsed(media_type)),
        fallback: section.item("fallback").and_then(|item| fallback(&item)),
    };
    section.finish();
    Some(files)
}

/// A folder below another, by the request.
fn below(text: &str, vocabulary: &Vocabulary<'_>) -> Result<Template, String> {
    let template = Template::parse(text, vocabulary)?;
    let is_plain = |part: &str| !part.is_empty() && !part.starts_with('.');
    match text.split('/').all(is_plain) {
        true => Ok(template),
        false => Err(format!(
            "\"{text}\" is no folder below root, such as \"$host\" or \"sites/$tenant\": write it without / at its ends, and \
             without parts that begin with a dot"
        )),
    }
}

/// `true`, `false` or `"json"`.
fn autoindex(item: &Item<'_>) -> Option<Autoindex> {
    if item.is_string() {
        return item.choice(&[("json", Autoindex::Json)]);
    }
    item.bool().map(|is_on| if is_on { Autoindex::On } else { Autoindex::Off })
}

/// What stands for a folder: a name, or a list of them.
fn index(item: &Item<'_>) -> Option<Vec<String>> {
    if item.is_string() {
        return Some(vec![item.parsed(file_name)?]);
    }
    let names: Vec<_> = item.array()?.iter().filter_map(|item| item.parsed(file_name)).collect();
    if names.is_empty() {
        item.fault("names no file; write [\"index.html\"], or folders = false");
    }
    Some(names)
}

/// `"/index.html"`, `"@name"` or a status.
fn fallback(item: &Item<'_>) -> Option<Fallback> {
    if !item.is_string() {
        let status = item.integer(400..=599)?;
        return u16::try_from(status).ok().map(Fallback::Status);
    }
    item.worded(false, None, |text, vocabulary| match text.starts_with('@') {
        true => name(text).map(Fallback::Route),
        false => Replacement::fallback(text, vocabulary).map(Fallback::Path).map_err(|why| {
            format!("{why}; a fallback is a path, the name of a route (\"@app\") or a status (404)")
        }),
    })
}

/// The name in `@name`.
pub(in crate::config) fn name(text: &str) -> Result<String, String> {
    let name = text.strip_prefix('@').unwrap_or(text);
    let legal = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match !name.is_empty() && name.chars().all(legal) {
        true => Ok(name.to_owned()),
        false => Err(format!("\"{text}\" is no name of a route; write for example \"@app\"")),
    }
}

fn file_name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(['/', '\0']) || text.starts_with('.') {
        return Err(format!("\"{text}\" is no name of a file; write for example \"index.html\""));
    }
    Ok(text.to_owned())
}

/// `admin = "maintenance"`: only that call of the admin API, and only where a token protects it.
fn admin(item: &Item<'_>, path: &PathSpec, known: &Known<'_>) -> Option<Target> {
    item.choice(&[("maintenance", ())])?;
    if *path != PathSpec::Exact(ADMIN_MAINTENANCE.into()) {
        item.fault(&format!("opens one call only, so it needs path = \"= {ADMIN_MAINTENANCE}\""));
    }
    if known.admin.is_some_and(|admin| admin.tokens.iter().all(|token| token.role < Role::Deploy)) {
        item.fault(
            "opens the admin API to clients of the site, so it needs a token in admin.tokens with the \
             role deploy or admin; `pointsman token new` makes one",
        );
    }
    if known.admin.is_some_and(|admin| admin.tls.is_some()) {
        item.fault(
            "leads to the admin API in plain HTTP, which admin.tls has switched off; switch maintenance by \
             `pointsman maintenance` or at the admin API itself, or leave out admin.tls",
        );
    }
    Some(Target::Admin)
}
