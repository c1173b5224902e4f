//! nginx's own `log_format`: its variables, and the texts between them, which end each value.

use super::fields::Fields;
use super::said::Unread;

/// A format, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    /// The text before the first variable.
    lead: String,
    /// Each variable with the text that follows it.
    parts: Vec<(String, String)>,
}

impl Template {
    /// # Errors
    /// A sentence that says what is wrong with the format.
    pub(super) fn parse(format: &str) -> Result<Self, String> {
        let mut pieces = format.split('$');
        let lead = pieces.next().unwrap_or_default().to_owned();
        let mut parts: Vec<(String, String)> = Vec::new();
        for piece in pieces {
            let (name, text) = variable(piece).ok_or_else(|| {
                format!("\"${piece}\" of the format is no variable; write $name or ${{name}}")
            })?;
            let follows_at_once = parts.last().is_some_and(|(_, text)| text.is_empty());
            if follows_at_once {
                return Err(format!("nothing stands between ${name} and the variable before it"));
            }
            parts.push((name.to_owned(), text.to_owned()));
        }
        let has = |names: &[&str]| parts.iter().any(|(name, _)| names.contains(&name.as_str()));
        if !has(&["time_local", "time_iso8601", "msec"]) {
            return Err("the format has no time: $time_local, $time_iso8601 or $msec".to_owned());
        }
        if !has(&["status"]) {
            return Err("the format has no $status".to_owned());
        }
        Ok(Template { lead, parts })
    }

    pub(super) fn read<'a>(&self, line: &'a str) -> Result<Fields<'a>, Unread> {
        let differs = || "it does not have the format of --format".to_owned();
        let mut rest = line.strip_prefix(self.lead.as_str()).ok_or_else(differs)?;
        let mut fields = Fields::default();
        for (index, (name, text)) in self.parts.iter().enumerate() {
            let is_last = index + 1 == self.parts.len();
            let end = if is_last && text.is_empty() {
                rest.len()
            } else {
                rest.find(text.as_str()).ok_or_else(differs)?
            };
            let value = &rest[..end];
            rest = &rest[end + text.len()..];
            // Of two variables for the same, the one that says something: a gRPC status in head or trailers.
            if let Some(slot) = slot(&mut fields, name).filter(|slot| slot.is_empty() || **slot == "-") {
                *slot = value;
            }
        }
        Ok(fields)
    }
}

fn slot<'f, 'a>(fields: &'f mut Fields<'a>, name: &str) -> Option<&'f mut &'a str> {
    Some(match name {
        "remote_addr" | "realip_remote_addr" => &mut fields.client,
        "time_local" => &mut fields.time_local,
        "time_iso8601" => &mut fields.time_iso,
        "msec" => &mut fields.msec,
        "status" => &mut fields.status,
        "request_time" => &mut fields.request_time,
        "request" => &mut fields.request,
        "request_method" => &mut fields.method,
        "request_uri" | "uri" => &mut fields.target,
        "body_bytes_sent" => &mut fields.bytes,
        "upstream_trailer_grpc_status" | "upstream_http_grpc_status" | "sent_trailer_grpc_status" => {
            &mut fields.grpc
        }
        "request_id" | "http_x_request_id" => &mut fields.request_id,
        "upstream_addr" => &mut fields.addresses,
        "upstream_status" => &mut fields.statuses,
        "upstream_header_time" => &mut fields.header_times,
        "upstream_response_time" => &mut fields.response_times,
        _ => return None,
    })
}

/// The name of a variable, and the text behind it.
fn variable(piece: &str) -> Option<(&str, &str)> {
    if let Some(inner) = piece.strip_prefix('{') {
        return inner.split_once('}').filter(|(name, _)| !name.is_empty());
    }
    let end = piece.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(piece.len());
    (end > 0).then(|| piece.split_at(end))
}

#[cfg(test)]
mod tests {
    use super::super::times::Local;
    use super::*;
    use crate::core::outcome::{Outcome, Reason};

    #[test]
    fn a_format_of_nginx_reads_its_lines() {
        let format = "$remote_addr [$time_local] \"$request\" $status ua=\"$upstream_addr\" \
                      us=\"$upstream_status\" rt=${request_time}s urt=\"$upstream_response_time\"";
        let template = Template::parse(format).expect("a format");
        let line = "192.0.2.1 [24/Nov/2026:23:58:32 +0000] \"GET / HTTP/1.1\" 200 ua=\"10.0.0.3:80, 10.0.0.1:80\" \
                    us=\"502, 200\" rt=0.300s urt=\"0.100, 0.200\"";
        let said = template.read(line).and_then(|fields| fields.said(&mut Local::default())).expect("read");
        assert_eq!((said.ended_us - said.started_us, said.failed), (300_000, false));
        let tried: Vec<_> =
            said.tried.iter().map(|t| (&*t.pool, t.code, t.began_us, t.took_us, t.outcome)).collect();
        let failed = Outcome::Failure(Reason::Status);
        assert_eq!(
            tried,
            [
                ("10.0.0.3:80", 502, 0, 100_000, failed),
                ("10.0.0.1:80", 200, 100_000, 200_000, Outcome::Success),
            ]
        );
        assert!(template.read("nonsense").is_err());
        let none = line.replace("10.0.0.3:80, 10.0.0.1:80", "-");
        let said = template.read(&none).and_then(|fields| fields.said(&mut Local::default())).expect("read");
        assert!(said.tried.is_empty(), "no upstream was asked");
    }

    #[test]
    fn a_format_that_says_too_little_is_refused() {
        for (format, says) in [
            ("$remote_addr $status", "no time"),
            ("$time_local", "$status"),
            ("$time_local$status", "between"),
            ("$time_local $ $status", "no variable"),
        ] {
            let error = Template::parse(format).expect_err(format);
            assert!(error.contains(says), "{error}");
        }
    }
}
