//! Who may come in on a route, beside its networks: `basic_auth`, `authorize`, `satisfy`.

use super::headers;
use super::reader::{Item, Section};
use super::route::target::location;
use crate::core::htpasswd::Htpasswd;
use crate::core::route::{Authorize, BasicAuth, GrantedField, RouteAccess, Satisfy, SignIn, Target};
use crate::core::template::{Template, Vocabulary};
use bytes::Bytes;
use http::HeaderValue;
use http::uri::PathAndQuery;
use std::fs::File;
use std::io::Read;
use std::sync::Arc;

/// The largest file of passwords, in bytes.
const LARGEST_FILE: usize = 1 << 20;
pub(super) fn of_route(
    section: &Section<'_>,
    target: Option<&Target>,
    services: &[String],
) -> Option<Box<RouteAccess>> {
    let items = [section.item("basic_auth"), section.item("authorize")];
    let kinds = [("all", Satisfy::All), ("any", Satisfy::Any)];
    let satisfy = section.read("satisfy", Satisfy::All, |item| item.choice(&kinds));
    for item in items.iter().flatten() {
        match target {
            Some(Target::Deny) => item.fault("has no effect on a route that answers 403 to everybody; take it out"),
            Some(Target::Admin) => item.fault(
                "stands in the way of the token that this route asks for, which comes in the same field; take it out",
            ),
            _ => {}
        }
    }
    let [basic, authorize] = items;
    let ways = usize::from(basic.is_some())
        + usize::from(authorize.is_some())
        + usize::from(section.item("allow").is_some());
    if let Some(item) = section.item("satisfy").filter(|_| satisfy == Satisfy::Any && ways < 2) {
        item.fault("has a choice only between two of allow, basic_auth and authorize; add another one, or take it out");
    }
    let has_any = basic.is_some() || authorize.is_some();
    let access = RouteAccess {
        basic: basic.and_then(|item| basic_auth(&item.section()?)),
        authorize: authorize.and_then(|item| self::authorize(&item.section()?, services)),
        satisfy,
    };
    has_any.then(|| Box::new(access))
}

fn basic_auth(section: &Section<'_>) -> Option<BasicAuth> {
    let challenge =
        section.need("realm", "what browsers show, for example \"site\"", |item| item.parsed(challenge));
    let users = section.need("file", "names and passwords, as `htpasswd -B` writes them", users);
    section.finish();
    Some(BasicAuth { challenge: challenge?, users: users? })
}

/// `Basic realm="site"`, with the realm as a quoted string (RFC 7617, 2).
fn challenge(realm: &str) -> Result<HeaderValue, String> {
    let mut challenge = String::from("Basic realm=\"");
    for letter in realm.chars() {
        if matches!(letter, '"' | '\\') {
            challenge.push('\\');
        }
        challenge.push(letter);
    }
    challenge.push('"');
    HeaderValue::from_maybe_shared(Bytes::from(challenge))
        .map_err(|_| "has a control character; a realm is one line".to_owned())
}

fn users(item: &Item<'_>) -> Option<Arc<Htpasswd>> {
    let path = item.file()?;
    let shown = path.display();
    let mut bytes = Vec::new();
    // One byte more than it may have, and no more of a file that does not end.
    let file = File::open(&path).map(|file| file.take(LARGEST_FILE as u64 + 1));
    if let Err(error) = file.and_then(|mut file| file.read_to_end(&mut bytes)) {
        item.fault(&format!("{shown}: {error}"));
        return None;
    }
    if bytes.len() > LARGEST_FILE {
        item.fault(&format!("{shown} has more than {LARGEST_FILE} bytes; split it over several routes"));
        return None;
    }
    let Ok(text) = String::from_utf8(bytes) else {
        item.fault(&format!("{shown} is not UTF-8; write its names so"));
        return None;
    };
    item.leads_to(text.as_bytes());
    match Htpasswd::parse(&text) {
        Ok(users) => {
            let plain: Vec<_> = users.in_the_clear().collect();
            if !plain.is_empty() {
                item.warn(&format!(
                    "{shown} has passwords in the clear ({}); write those lines again with `htpasswd -B`",
                    plain.join(", ")
                ));
            }
            Some(Arc::new(users))
        }
        Err(bad) => {
            bad.iter().for_each(|bad| item.fault(&format!("{shown}:{}: {}", bad.line, bad.detail)));
            None
        }
    }
}

fn authorize(section: &Section<'_>, services: &[String]) -> Option<Authorize> {
    let service = section.need("service", "which service is asked?", |item| {
        let name = item.string()?;
        if !services.contains(&name) {
            item.fault(&format!("there is no service {name}; there are: {}", services.join(", ")));
        }
        Some(name)
    });
    let root = PathAndQuery::from_static("/");
    let target = section.read("path", root, |item| item.parsed(path));
    let forward = section.item("forward").and_then(|item| item.array()).unwrap_or_default();
    let forward = forward.iter().filter_map(granted).collect();
    let signin = section.item("signin").and_then(|item| item.worded(false, None, sign_in));
    section.finish();
    Some(Authorize { service: service?, target, forward, signin })
}

/// A field of the service's answer, and what the upstream gets it as.
fn granted(item: &Item<'_>) -> Option<GrantedField> {
    if item.is_string() {
        let name = headers::granted(item)?;
        return Some(GrantedField { of: name.clone(), name });
    }
    let section = item.section()?;
    let of = section.need("from", "the field of its answer", headers::of_answers);
    let name = section.need("to", "the field that the upstream gets", headers::granted);
    section.finish();
    Some(GrantedField { of: of?, name: name? })
}

fn path(text: &str) -> Result<PathAndQuery, String> {
    let target = PathAndQuery::try_from(text).ok().filter(|_| text.starts_with('/'));
    target.ok_or_else(|| format!("\"{text}\" is no path; write for example \"/check\""))
}

fn sign_in(text: &str, vocabulary: &Vocabulary<'_>) -> Result<SignIn, String> {
    let (place, query) = text.split_once('?').map_or((text, None), |(place, query)| (place, Some(query)));
    Ok(SignIn {
        place: location(place, vocabulary)?,
        query: query.map(|query| Template::parse(query, vocabulary)).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use crate::config::{Faults, parse};
    use crate::core::route::Satisfy;
    use crate::core::settings::Config;
    use std::path::Path;

    const USERS: &str = "ana:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n";

    fn read(route: &str, users: &str) -> Result<Config, Faults> {
        let text = format!(
            "[[listeners]]\naddress = \"127.0.0.1:80\"\n[[routes]]\nservice = \"web\"\n{route}\n\
             [services.web.pools.blue]\nupstreams = [\"10.0.0.1:80\"]\n"
        );
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("users"), users).expect("written");
        parse(&text, "test.toml", &|_| None, dir.path())
    }

    #[test]
    fn it_is_read_with_its_defaults() {
        let route = "basic_auth = { realm = 'a \"b\"', file = \"users\" }\n\
                     authorize = { service = \"web\", forward = [\"X-User\"], signin = \"/in?rd=$request_uri\" }\n\
                     satisfy = \"any\"";
        let config = read(route, &format!("{USERS}bo:{{PLAIN}}x\n")).expect("accepted");
        let access = config.routes.specs()[0].access.as_deref().expect("some");
        let basic = access.basic.as_ref().expect("some");
        assert_eq!(basic.challenge, "Basic realm=\"a \\\"b\\\"\"");
        assert!(basic.users.verify("ana", b"secret"));
        let authorize = access.authorize.as_ref().expect("some");
        assert_eq!((authorize.target.as_str(), authorize.forward[0].name.as_str()), ("/", "x-user"));
        assert!(authorize.signin.as_ref().is_some_and(|to| to.query.is_some()));
        assert_eq!(access.satisfy, Satisfy::Any);
        assert!(
            config.warnings[0].detail.contains("has passwords in the clear (bo)"),
            "{:?}",
            config.warnings
        );
        assert!(read("", USERS).expect("accepted").routes.specs()[0].access.is_none());
    }

    #[test]
    fn faults_name_the_key_and_the_remedy() {
        for (route, users, expected) in [
            (
                "basic_auth = { realm = \"x\" }",
                USERS,
                "routes[0].basic_auth.file: is missing; names and passwords",
            ),
            ("basic_auth = { file = \"users\" }", USERS, "basic_auth.realm: is missing; what browsers show"),
            ("basic_auth = { realm = \"x\", file = \"none\" }", USERS, "none: No such file"),
            (
                "basic_auth = { realm = \"x\", file = \"users\" }",
                "a:b\n",
                "users:1: has no hash that is known",
            ),
            ("basic_auth = { realm = \"x\", file = \"users\" }", "", "users:1: has no user"),
            (
                "authorize = { path = \"/x\" }",
                USERS,
                "authorize.service: is missing; which service is asked?",
            ),
            ("authorize = { service = \"web2\" }", USERS, "there is no service web2; there are: web"),
            ("authorize = { service = \"web\", path = \"x\" }", USERS, "\"x\" is no path; write for example"),
            (
                "authorize = { service = \"web\", forward = [\"Connection\"] }",
                USERS,
                "authorize.forward[0]: Connection frames the message",
            ),
            (
                "authorize = { service = \"web\", forward = [\"Host\"] }",
                USERS,
                "forward[0]: a request keeps its Host",
            ),
            ("authorize = { service = \"web\", signin = \"//x\" }", USERS, "does not say where to"),
            ("authorize = { service = \"web\", signin = \"/x?$uri\" }", USERS, "$uri is none of"),
            ("satisfy = \"any\"\nallow = [\"10.0.0.0/8\"]", USERS, "satisfy: has a choice only between two"),
            ("satisfy = \"some\"", USERS, "\"some\" is none of all, any"),
        ] {
            let text = read(route, users).expect_err(expected).to_string();
            assert!(text.contains(expected), "missing: {expected}\nin:\n{text}");
        }
        let text = "[[listeners]]\naddress = \"127.0.0.1:80\"\n[[routes]]\ndeny = true\n\
                    basic_auth = { realm = \"x\", file = \"none\" }\n";
        let text =
            parse(text, "test.toml", &|_| None, Path::new("/nowhere")).expect_err("refused").to_string();
        assert!(text.contains("routes[0].basic_auth: has no effect on a route that answers 403"), "{text}");
    }
}
