//! `buffer` of a pool: what is taken in whole, and up to which size.

use super::reader::{Item, Section};
use crate::core::settings::Buffer;

/// The most that one request or answer may hold, in bytes.
const MOST_BYTES: u64 = 1 << 30;

pub(super) fn of_pool(section: &Section<'_>) -> Buffer {
    let buffer = Buffer {
        request: section.read("request", 0, size) as usize,
        response: section.read("response", 0, size) as usize,
    };
    section.finish();
    buffer
}

fn size(item: &Item<'_>) -> Option<u64> {
    item.size_within(0..=MOST_BYTES, "is more than 1G, which lies in memory; write 1M")
}
