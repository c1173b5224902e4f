//! Which pool a request goes to, what its answer carries for the next one, and what is none of the
//! upstream's business.
//!
//! A tester's choice comes first, then the first rule that holds, then the cohort: see [`crate::core::cohort`].
//! A pool without a ready upstream is passed over for the weights, unless a rule is strict about it. So is one whose
//! version was aborted, by rules: who tests goes on seeing what was wrong with it.

use crate::core::choice::Users;
use crate::core::cohort::{Cohort, CohortIdentity, User};
use crate::core::fields;
use crate::core::table::{Pool, Service};
use crate::core::tester::Word;
use crate::observe::clock::unix_seconds;
use crate::proxy::decide::asked::RequestFacts;
use crate::proxy::exchange::{Chosen, ChosenBy, Cookies, PlanTarget};
use crate::proxy::headers::rewrite;
use http::HeaderValue;
use std::io::Write;

/// Chooses; `None` where no pool has weight.
pub(in crate::proxy) fn choose(index: usize, service: &Service, asked: RequestFacts<'_>) -> Option<Chosen> {
    let chosen = |pool, by, cookies| Chosen { target: PlanTarget { service: index, pool }, by, cookies };
    if service.choice.is_by_chance() {
        return Some(chosen(service.picker.pick(asked.draw as u32)?, ChosenBy::Weights, None));
    }
    let mut cookies = Cookies::default();
    let (pool, by) = pool(service, asked, &mut cookies)?;
    Some(chosen(pool, by, (cookies != Cookies::default()).then(|| Box::new(cookies))))
}

fn pool(service: &Service, asked: RequestFacts<'_>, cookies: &mut Cookies) -> Option<(usize, ChosenBy)> {
    let choice = &service.choice;
    let is_ready = |pool: &usize| service.pools.get(*pool).is_some_and(Pool::is_ready);
    if let Some(pool) = testers_own(service, asked, cookies).filter(is_ready) {
        return Some((pool, ChosenBy::Tester));
    }
    let is_sound =
        |pool: &usize| service.pools.get(*pool).is_some_and(|pool| pool.is_ready() && !pool.is_quarantined);
    if let Some(rule) =
        choice.rules.iter().find(|rule| rule.when.holds(&asked.request.head, asked.client, asked.request))
        && let Some(pool) =
            choice.place(&rule.to, &service.pools).filter(|pool| rule.strict || is_sound(pool))
    {
        return Some((pool, if rule.strict { ChosenBy::StrictRule } else { ChosenBy::Rule }));
    }
    let Some(users) = &choice.users else {
        return Some((service.picker.pick(asked.draw as u32)?, ChosenBy::Weights));
    };
    let (point, by) = place(users, asked, cookies);
    Some((users.split.pick(point, &service.picker)?, by))
}

/// The pool that a tester wants: by a header, else by the query, else by the cookie of an earlier one.
fn testers_own(service: &Service, asked: RequestFacts<'_>, cookies: &mut Cookies) -> Option<usize> {
    let (testers, key) = service.choice.testers.as_ref()?;
    let understand = |value: &str| {
        let pools = service.pools.iter().map(|pool| &pool.name);
        testers.understand(value, asked.client, key, unix_seconds(), pools)
    };
    let headers = &asked.request.head.headers;
    let header = headers.get(&testers.header).and_then(|value| understand(value.to_str().ok()?));
    let query = asked.request.head.uri.query().unwrap_or_default();
    let mut given = fields::parameters(query, &testers.query);
    let given = given.find_map(|value| Some((understand(&value)?, value)));
    if let Some((word, value)) = &given {
        let (value, age) = match word {
            Word::Out => ("", 0),
            Word::Choice { lasts, .. } => (&**value, lasts.as_secs()),
        };
        cookies.tester = set_cookie(&testers.cookie, value.as_bytes(), age, asked);
    }
    let kept = || {
        let mut values = fields::cookies(headers, &testers.cookie);
        values.find_map(|value| understand(std::str::from_utf8(value).ok()?))
    };
    match header.or(given.map(|(word, _)| word)).or_else(kept)? {
        Word::Out => None,
        Word::Choice { wanted, .. } => service.choice.place(&wanted, &service.pools),
    }
}

/// Where the one that the request comes from has its place, as the service knows its users.
fn place(users: &Users, asked: RequestFacts<'_>, cookies: &mut Cookies) -> (u64, ChosenBy) {
    let point = |identity: CohortIdentity<'_>| identity.point(&users.draw_key);
    let by_address = (point(CohortIdentity::Address(asked.client)), ChosenBy::ClientIp);
    match &users.cohort {
        Cohort::Cookie { name, ttl } => {
            let now = unix_seconds() as u32;
            let mut values = fields::cookies(&asked.request.head.headers, name);
            let known = values.find_map(|value| users.cookie_keys.read(value));
            let user = match known {
                Some(user) => User { at: now, ..user },
                None => users.cookie_keys.welcome(asked.draw, now),
            };
            if known.is_none_or(|user| user.is_due(now, *ttl)) {
                let value = users.cookie_keys.write(user);
                cookies.cohort = set_cookie(name, &value, ttl.as_secs(), asked);
            }
            (point(CohortIdentity::User(user.id)), ChosenBy::Cookie)
        }
        Cohort::Header(name) => match asked.request.head.headers.get(name) {
            Some(value) => (point(CohortIdentity::Named(value.as_bytes())), ChosenBy::Header),
            None => by_address,
        },
        Cohort::Text(text) => {
            let mut name = Vec::with_capacity(64);
            text.fill(&rewrite::compared(asked.request), &mut name);
            match name.is_empty() {
                true => by_address,
                false => (point(CohortIdentity::Named(&name)), ChosenBy::Text),
            }
        }
        Cohort::ClientIp | Cohort::Request => by_address,
    }
}
/// Out of reach of scripts and of other sites' forms; only by TLS where the client came by TLS.
fn set_cookie(name: &str, value: &[u8], age_s: u64, asked: RequestFacts<'_>) -> Option<HeaderValue> {
    let mut line = Vec::with_capacity(128);
    line.extend_from_slice(name.as_bytes());
    line.push(b'=');
    line.extend_from_slice(value);
    // Writing to a Vec cannot fail.
    let _ = write!(line, "; Max-Age={age_s}; Path=/; HttpOnly; SameSite=Lax");
    if is_secure(asked) {
        line.extend_from_slice(b"; Secure");
    }
    HeaderValue::from_maybe_shared(bytes::Bytes::from(line)).ok()
}

/// Whether the client speaks TLS: to us, or to the trusted proxy that says so.
fn is_secure(asked: RequestFacts<'_>) -> bool {
    let said = asked.request.head.headers.get("x-forwarded-proto").filter(|_| asked.believed);
    match said.and_then(|scheme| scheme.as_bytes().split(|byte| *byte == b',').next()) {
        Some(scheme) => scheme.trim_ascii().eq_ignore_ascii_case(b"https"),
        None => asked.listener.tls.is_some(),
    }
}
