//! `[compression]`.

use super::reader::{Item, Section};
use crate::core::compression::{Algorithm, Compression};
use std::sync::Arc;

const HTML: &str = "text/html";
/// Text, and what is made of text.
const TYPES: [&str; 20] = [
    HTML,
    "text/css",
    "text/plain",
    "text/xml",
    "text/javascript",
    "text/markdown",
    "text/vcard",
    "text/calendar",
    "application/javascript",
    "application/json",
    "application/ld+json",
    "application/manifest+json",
    "application/problem+json",
    "application/xml",
    "application/rss+xml",
    "application/atom+xml",
    "application/xhtml+xml",
    "application/wasm",
    "image/svg+xml",
    "font/ttf",
];

/// What there is of it, for all routes.
pub(super) fn read(root: &Section<'_>) -> Option<Arc<Compression>> {
    let section = root.item("compression").and_then(|item| item.section());
    section.map(|section| Arc::new(compression(&section)))
}

fn compression(section: &Section<'_>) -> Compression {
    let known = [("br", Algorithm::Brotli), ("gzip", Algorithm::Gzip)];
    let algorithms = section.read("algorithms", known.map(|(_, algorithm)| algorithm).to_vec(), |item| {
        let chosen: Vec<_> = item.array()?.iter().filter_map(|item| item.choice(&known)).collect();
        if chosen.is_empty() {
            item.fault("names no algorithm; write [\"br\", \"gzip\"], or take [compression] out");
        }
        Some(chosen)
    });
    let types = section.read("types", TYPES.map(str::to_owned).to_vec(), |item| {
        let mut types: Vec<_> = item.array()?.iter().filter_map(|item| item.parsed(media_type)).collect();
        // HTML is always among them, as with nginx.
        if !types.iter().any(|kind| kind == HTML || kind == "*") {
            types.push(HTML.to_owned());
        }
        Some(types)
    });
    let compression = Compression {
        algorithms,
        types,
        min_size: section.read("min_size", 256, Item::size),
        gzip_level: section.read("gzip_level", 6, |item| item.integer(1..=9)) as u32,
        br_level: section.read("br_level", 5, |item| item.integer(0..=11)) as u32,
    };
    section.finish();
    compression
}

fn media_type(text: &str) -> Result<String, String> {
    let halves = text.split_once('/').is_some_and(|(kind, name)| !kind.is_empty() && !name.is_empty());
    if text != "*" && (!halves || text.contains([';', ' ', '*'])) {
        return Err(format!(
            "\"{text}\" is no media type; write for example \"text/html\", or \"*\" for all"
        ));
    }
    Ok(text.to_ascii_lowercase())
}
