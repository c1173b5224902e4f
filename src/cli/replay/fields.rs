//! What the variables of a line say: nginx's, and what our own combined format appends.

use super::said::{Said, Tried, Unread, micros, outcome, outcome_of};
use super::times::{self, Local};
use crate::core::outcome::{Outcome, PATIENCE_US, Reason};
use std::borrow::Cow;

/// As they stand in the line; empty where they do not.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fields<'a> {
    pub client: &'a str,
    pub time_local: &'a str,
    pub time_iso: &'a str,
    pub msec: &'a str,
    pub status: &'a str,
    pub request_time: &'a str,
    pub request_id: &'a str,
    /// `GET /checkout HTTP/1.1`, or its parts; and the bytes of the answer's body.
    pub request: &'a str,
    pub method: &'a str,
    pub target: &'a str,
    pub bytes: &'a str,
    /// The status of gRPC, of the last attempt's answer.
    pub grpc: &'a str,
    /// Of upstreams, one for each attempt: `10.0.0.3:80, 10.0.0.4:80`.
    pub addresses: &'a str,
    pub statuses: &'a str,
    pub header_times: &'a str,
    pub response_times: &'a str,
    /// Our own.
    pub start: &'a str,
    pub service: &'a str,
    pub pool: &'a str,
    pub outcome: &'a str,
    pub outcome_time: &'a str,
    pub began: &'a str,
    pub broke_time: &'a str,
    pub duration: &'a str,
    pub evidence: &'a str,
    pub cut_time: &'a str,
    pub earlier: &'a str,
}

impl<'a> Fields<'a> {
    pub(super) fn said(&self, local: &mut Local) -> Result<Said<'a>, Unread> {
        let status = self.status.parse::<u16>().map_err(|_| format!("{:?} is no status", self.status))?;
        let duration_us = seconds(self.request_time).map_or(0, micros) as i64;
        let (started_us, ended_us) = if self.start.is_empty() {
            let ended = self.ended(local)?;
            (ended.saturating_sub(duration_us), ended)
        } else {
            let started = times::rfc3339(self.start)?;
            (started, started.saturating_add(duration_us))
        };
        let tried = if self.start.is_empty() { self.nginx(status) } else { self.own(status)? };
        let (method, target) = self.asked();
        Ok(Said {
            method: Cow::Borrowed(method),
            target: Cow::Borrowed(target),
            bytes: self.bytes.parse().ok(),
            service: Cow::Borrowed(self.service),
            request: Cow::Borrowed(self.request_id),
            client: Cow::Borrowed(self.client),
            failed: status >= 500 || !self.broke_time.is_empty(),
            started_us,
            ended_us,
            tried,
        })
    }

    /// The method, and what was asked for.
    fn asked(&self) -> (&'a str, &'a str) {
        let mut words = self.request.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let or = |own: &'a str, of_line: &'a str| if own.is_empty() { of_line } else { own };
        (or(self.method, method), or(self.target, target))
    }

    fn ended(&self, local: &mut Local) -> Result<i64, Unread> {
        match self {
            Fields { msec, .. } if !msec.is_empty() => times::msec(msec),
            Fields { time_iso, .. } if !time_iso.is_empty() => times::rfc3339(time_iso),
            Fields { time_local, .. } if !time_local.is_empty() => local.read(time_local),
            _ => Err("it has no time".to_owned()),
        }
    }

    fn own(&self, status: u16) -> Result<Vec<Tried<'a>>, Unread> {
        let mut tried = Vec::new();
        for text in self.earlier.split(',').filter(|text| !text.is_empty()) {
            tried.push(earlier(text).ok_or_else(|| format!("{text:?} is no earlier attempt"))?);
        }
        if !self.pool.is_empty() && !self.outcome.is_empty() {
            tried.push(Tried {
                pool: Cow::Borrowed(self.pool),
                began_us: seconds(self.began).map_or(0, micros),
                took_us: seconds(self.outcome_time).map_or(0, micros),
                broke_us: seconds(self.broke_time).map(micros),
                whole_us: seconds(self.duration).map(micros),
                cut_us: seconds(self.cut_time).map(micros),
                grpc: self.grpc.parse().ok(),
                code: if seconds(self.header_times).is_some() { status } else { 0 },
                outcome: match self.evidence {
                    "false" => Outcome::Ignored,
                    _ => outcome(self.outcome)?,
                },
            });
        }
        Ok(tried)
    }

    /// nginx goes on to another upstream where one failed; the last one's answer is the client's.
    fn nginx(&self, status: u16) -> Vec<Tried<'a>> {
        let was_asked = |times: &str| seconds(list(times).last().unwrap_or_default()).is_some();
        let is_told = !self.addresses.is_empty();
        let asked = if is_told {
            self.addresses != "-"
        } else {
            was_asked(self.response_times) || was_asked(self.header_times)
        };
        if !asked {
            return Vec::new();
        }
        let count = if is_told { list(self.addresses).count() } else { list(self.response_times).count() };
        let mut rows =
            (list(self.addresses), list(self.statuses), list(self.header_times), list(self.response_times));
        let (mut tried, mut began_us) = (Vec::new(), 0);
        for index in 1..=count.max(1) {
            let pool = rows.0.next().unwrap_or_default();
            let answered = rows.1.next().and_then(|status| status.parse::<u16>().ok());
            let (head, whole) = (rows.2.next().and_then(seconds), rows.3.next().and_then(seconds));
            let is_last = index == count.max(1);
            let code = answered.unwrap_or(if is_last { status } else { 0 });
            let whole = whole.or_else(|| seconds(self.request_time).filter(|_| count <= 1));
            let took = head.or(whole).or(seconds(self.request_time)).map_or(0, micros);
            let outcome = match code {
                _ if is_last && status == 499 && took >= PATIENCE_US => Outcome::Abandoned,
                _ if is_last && status == 499 => Outcome::Ignored,
                0 if !is_last => Outcome::Failure(Reason::Reset),
                code => outcome_of(code),
            };
            tried.push(Tried {
                pool: Cow::Borrowed(pool),
                began_us,
                took_us: took,
                broke_us: None,
                whole_us: whole.map(micros),
                cut_us: None,
                code,
                grpc: list(self.grpc).nth(index - 1).and_then(|status| status.parse().ok()),
                outcome,
            });
            began_us += whole.map_or(0, micros);
        }
        tried
    }
}

/// `green;10.0.0.3:80;502;0.000000;0.000040;connect`
fn earlier(text: &str) -> Option<Tried<'_>> {
    let mut parts = text.split(';');
    let (pool, _upstream, status) = (parts.next()?, parts.next()?, parts.next()?);
    let (began, took, word) = (parts.next()?, parts.next()?, parts.next()?);
    let rest: Vec<&str> = parts.collect();
    let grpc = rest.first().and_then(|status| status.parse().ok());
    let word = if rest.contains(&"aside") { "ignored" } else { word };
    Some(Tried {
        pool: Cow::Borrowed(pool),
        began_us: micros(seconds(began)?),
        took_us: micros(seconds(took)?),
        broke_us: None,
        whole_us: None,
        cut_us: None,
        grpc,
        code: status.parse().ok()?,
        outcome: outcome(word).ok()?,
    })
}

/// `0.012`; nothing for `-`.
fn seconds(text: &str) -> Option<f64> {
    text.parse().ok().filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0)
}

/// nginx's lists: by commas within a group of upstreams, by colons between groups.
fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(", ").flat_map(|part| part.split(" : "))
}
