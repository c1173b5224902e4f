//! `failures`: which answers count as failures.

use crate::config::reader::Item;
use crate::core::failure_statuses::{FailureStatuses, GRPC_NAMES};

/// What is left out is as by default; an empty list is none.
pub(super) fn read(item: &Item<'_>) -> Option<FailureStatuses> {
    let section = item.section()?;
    let list = |key, one: fn(&Item<'_>) -> Option<std::ops::RangeInclusive<u16>>| {
        section.item(key).map(|item| item.array()?.iter().map(one).collect::<Option<Vec<_>>>())
    };
    let (statuses, grpc) = (list("statuses", status), list("grpc", grpc));
    section.finish();
    let statuses = statuses.unwrap_or_else(|| Some(vec![500..=599]))?;
    let grpc = grpc.unwrap_or_else(|| {
        Some(FailureStatuses::GRPC.map(|status| u16::from(status)..=u16::from(status)).to_vec())
    })?;
    let grpc = grpc.into_iter().flatten().map(|status| status as u8);
    Some(FailureStatuses::NONE.with(statuses.into_iter().flatten()).with_grpc(grpc))
}

/// `503` or `"500-599"`.
pub(in crate::config) fn status(item: &Item<'_>) -> Option<std::ops::RangeInclusive<u16>> {
    if !item.is_string() {
        return item.integer(200..=599).map(|status| status as u16..=status as u16);
    }
    item.parsed(|text| {
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        let one = |text: &str| text.trim().parse::<u16>().ok().filter(|status| (200..600).contains(status));
        let range = one(from).zip(one(to)).filter(|(from, to)| from <= to).map(|(from, to)| from..=to);
        range.ok_or_else(|| format!("\"{text}\" is no range of statuses; write 503 or \"500-599\""))
    })
}

/// `14` or `"UNAVAILABLE"`.
fn grpc(item: &Item<'_>) -> Option<std::ops::RangeInclusive<u16>> {
    if !item.is_string() {
        return item.integer(1..=16).map(|status| status as u16..=status as u16);
    }
    item.parsed(|text| {
        let place =
            GRPC_NAMES.iter().position(|name| name.eq_ignore_ascii_case(text)).filter(|place| *place > 0);
        let status = place.map(|place| place as u16..=place as u16);
        status.ok_or_else(|| format!("\"{text}\" is no failure of gRPC; write 14 or \"UNAVAILABLE\""))
    })
}
