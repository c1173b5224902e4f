//! nginx's combined format with fields appended, and our own, which is that.
//!
//! What is appended are texts in quotes, which say nothing here, and `name=value`. A value may be in quotes
//! too, and may be a list, as nginx writes one for several upstreams.

use super::fields::Fields;
use super::said::Unread;

pub(super) fn read(line: &str) -> Result<Fields<'_>, Unread> {
    parse(line).ok_or_else(|| "it is neither JSON nor nginx's combined format".to_owned())
}

fn parse(line: &str) -> Option<Fields<'_>> {
    let (client, rest) = line.split_once(' ')?;
    let (_, rest) = rest.split_once('[')?;
    let (time_local, rest) = rest.split_once("] \"")?;
    let (request, rest) = rest.split_once("\" ")?;
    let (status, rest) = rest.split_once(' ')?;
    let (bytes, rest) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
    let mut fields = Fields { client, time_local, request, status, bytes, ..Fields::default() };
    let mut rest = rest.trim_start_matches('-');
    while let Some((name, value, after)) = next(rest) {
        rest = after;
        // The first word counts: a list may go on with what looks like one.
        let slot = match name {
            "rt" | "request_time" => &mut fields.request_time,
            "uht" | "upstream_header_time" => &mut fields.header_times,
            "urt" | "upstream_response_time" => &mut fields.response_times,
            "ua" | "upstream" | "upstream_addr" => &mut fields.addresses,
            "us" | "ustatus" | "upstream_status" => &mut fields.statuses,
            "rid" | "request_id" => &mut fields.request_id,
            "msec" => &mut fields.msec,
            "start" => &mut fields.start,
            "service" => &mut fields.service,
            "pool" => &mut fields.pool,
            "outcome" => &mut fields.outcome,
            "outcome_time" => &mut fields.outcome_time,
            "began" => &mut fields.began,
            "broke_time" => &mut fields.broke_time,
            "duration" => &mut fields.duration,
            "evidence" => &mut fields.evidence,
            "cut_time" => &mut fields.cut_time,
            "grpc" | "grpc_status" => &mut fields.grpc,
            "earlier" => &mut fields.earlier,
            _ => continue,
        };
        if slot.is_empty() {
            *slot = value;
        }
    }
    Some(fields)
}

/// The next name and value, and what follows; the name of what is none is empty.
fn next(text: &str) -> Option<(&str, &str, &str)> {
    let text = text.trim_start();
    if let Some(quoted) = text.strip_prefix('"') {
        let (_, rest) = quoted.split_once('"')?;
        return Some(("", "", rest));
    }
    let end = text.find([' ', '=']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let Some(value) = rest.strip_prefix('=') else {
        return (!text.is_empty()).then_some(("", "", rest));
    };
    if let Some(quoted) = value.strip_prefix('"') {
        let (value, rest) = quoted.split_once('"')?;
        return Some((name, value, rest));
    }
    let mut end = 0;
    loop {
        end += value[end..].find(' ').unwrap_or(value.len() - end);
        // "0.001, 0.002" and "0.001 : 0.002" go on.
        let (before, after) = value.split_at(end);
        if !after.is_empty() && (before.ends_with([',', ':']) || after.starts_with(" : ")) {
            end += 1;
            continue;
        }
        return Some((name, before, after));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "192.0.2.1 - bob [24/Nov/2026:23:58:32 +0000] \"GET /?rt=9 HTTP/1.1\" 502 12 ";

    #[test]
    fn what_is_appended_is_found_behind_any_text() {
        let line = format!(
            "{HEAD}\"http://a/ us=1\" \"agent rt=5\" \"-\" rt=0.250 uct=0.000 uht=0.001, 0.200 urt=0.001, 0.210 \
             ua=10.0.0.3:80, 10.0.0.4:80 us=\"502, 200\" rid=abc"
        );
        let fields = read(&line).expect("fields");
        assert_eq!((fields.client, fields.status, fields.request_time), ("192.0.2.1", "502", "0.250"));
        assert_eq!(fields.time_local, "24/Nov/2026:23:58:32 +0000");
        assert_eq!((fields.header_times, fields.response_times), ("0.001, 0.200", "0.001, 0.210"));
        assert_eq!((fields.addresses, fields.statuses), ("10.0.0.3:80, 10.0.0.4:80", "502, 200"));
        assert_eq!(fields.request_id, "abc");
    }

    #[test]
    fn what_is_no_line_is_refused() {
        for wrong in ["", "hello", "a b c", "192.0.2.1 - - [x] no quotes"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
