//! The dashboard's files, embedded as they lie in `ui/`: no step of a build comes between.
//!
//! The pages are open to everybody, for they hold nothing; what they show they ask of the API, with a session. A file's
//! address holds a hash of all files, so browsers may keep it for ever, and the page alone is asked for again. The policy
//! lets a page load from here only, run no script but these, and be shown in no frame.

use super::State;
use super::problem::Problem;
use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::sync::{LazyLock, OnceLock};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; manifest-src 'self'; frame-ancestors 'none'; base-uri 'none'; \
                      form-action 'none'; require-trusted-types-for 'script'; trusted-types lit-html";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
/// Smaller files are not compressed.
const SMALL_BYTES: usize = 512;
const BROTLI_QUALITY: i32 = 9;

macro_rules! file {
    ($name:literal, $kind:expr) => {
        File { name: $name, kind: $kind, text: include_bytes!(concat!("ui/", $name)), packed: Packed::new() }
    };
}

static FILES: [File; 18] = [
    file!("app.css", STYLE),
    file!("app.js", SCRIPT),
    file!("ask.js", SCRIPT),
    file!("buttons.js", SCRIPT),
    file!("charts.js", SCRIPT),
    file!("events.js", SCRIPT),
    file!("instance.js", SCRIPT),
    file!("icon.svg", "image/svg+xml"),
    file!("live.js", SCRIPT),
    file!("loader.js", SCRIPT),
    file!("overview.js", SCRIPT),
    file!("rollout.js", SCRIPT),
    file!("service.js", SCRIPT),
    file!("signin.js", SCRIPT),
    file!("track.js", SCRIPT),
    file!("words.js", SCRIPT),
    file!("vendor/lit-html.js", SCRIPT),
    file!("vendor/uplot.js", SCRIPT),
];

/// The page of every address, with the version in the addresses of its files.
static PAGE: LazyLock<Page> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    let parts = FILES.iter().map(|file| file.text).chain([include_bytes!("ui/index.html").as_slice()]);
    parts.for_each(|text| hash.update(text));
    let version: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let text = include_str!("ui/index.html").replace("VERSION", &version).into();
    Page { version, text, packed: Packed::new() }
});

#[derive(Debug)]
struct File {
    name: &'static str,
    kind: &'static str,
    text: &'static [u8],
    packed: Packed,
}

#[derive(Debug)]
struct Page {
    version: String,
    text: Bytes,
    packed: Packed,
}

/// A file in fewer bytes, once somebody has asked for it so.
#[derive(Debug)]
struct Packed {
    brotli: OnceLock<Bytes>,
    gzip: OnceLock<Bytes>,
}

pub(super) fn router() -> Router<State> {
    Router::new()
        .route("/", get(page))
        .route("/s/{service}", get(page))
        .route("/s/{service}/r/{id}", get(page))
        .route("/events", get(page))
        .route("/instance", get(page))
        .route("/ui/{version}/{*name}", get(file))
}

async fn page(headers: HeaderMap) -> Response {
    let page = &*PAGE;
    let tag = format!("\"{}\"", page.version);
    let kept = [(header::CACHE_CONTROL, "no-cache"), (header::ETAG, tag.as_str())];
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return guarded((StatusCode::NOT_MODIFIED, kept).into_response());
    }
    let body = page.packed.answer(&page.text, "text/html; charset=utf-8", &headers);
    guarded((kept, body).into_response())
}

async fn file(Path((version, name)): Path<(String, String)>, headers: HeaderMap) -> Response {
    let found = FILES.iter().find(|file| file.name == name).filter(|_| version == PAGE.version);
    let Some(file) = found else {
        return Problem::not_found("there is no such file; load the page again").into_response();
    };
    let kept = [(header::CACHE_CONTROL, "public, max-age=31536000, immutable")];
    let body = file.packed.answer(&Bytes::from_static(file.text), file.kind, &headers);
    guarded((kept, body).into_response())
}

fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::VARY, "accept-encoding"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    for (name, value) in [
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

impl Packed {
    const fn new() -> Self {
        Packed { brotli: OnceLock::new(), gzip: OnceLock::new() }
    }

    /// The body, in the fewest bytes that the client takes.
    fn answer(&self, text: &Bytes, kind: &'static str, headers: &HeaderMap) -> Response {
        let takes =
            headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let takes = |coding: &str| takes.split(',').any(|taken| taken.trim() == coding);
        let coded = |coding: &'static str, body: &Bytes| {
            ([(header::CONTENT_TYPE, kind), (header::CONTENT_ENCODING, coding)], body.clone()).into_response()
        };
        if text.len() >= SMALL_BYTES && takes("br") {
            return coded("br", self.brotli.get_or_init(|| brotli(text)));
        }
        if text.len() >= SMALL_BYTES && takes("gzip") {
            return coded("gzip", self.gzip.get_or_init(|| gzip(text)));
        }
        ([(header::CONTENT_TYPE, kind)], text.clone()).into_response()
    }
}

fn brotli(text: &[u8]) -> Bytes {
    let mut packed = Vec::new();
    let parameters = brotli::enc::BrotliEncoderParams { quality: BROTLI_QUALITY, ..Default::default() };
    // Neither end of it can fail: both are memory.
    let _ = brotli::BrotliCompress(&mut &*text, &mut packed, &parameters);
    packed.into()
}

fn gzip(text: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // It writes to memory, which cannot fail.
    let _ = encoder.write_all(text);
    encoder.finish().unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn every_file_of_the_page_is_embedded_and_every_import_leads_to_one() {
        let is_there = |name: &str| FILES.iter().any(|file| file.name == name);
        let page = String::from_utf8_lossy(&PAGE.text).into_owned();
        let named: Vec<_> = page.split(&format!("/ui/{}/", PAGE.version)).skip(1).collect();
        assert!(named.len() >= 4, "{page}");
        for name in named {
            let name = name.split('"').next().unwrap_or_default();
            assert!(is_there(name), "{name}");
        }
        for file in FILES.iter().filter(|file| file.kind == SCRIPT && !file.name.starts_with("vendor/")) {
            let text = String::from_utf8_lossy(file.text);
            for import in text.lines().filter(|line| line.starts_with("import")) {
                let from = import.split("\"./").nth(1).and_then(|rest| rest.split('"').next());
                assert!(from.is_some_and(is_there), "{}: {import}", file.name);
            }
            assert!(!text.contains("innerHTML") && !text.contains(" style="), "{}", file.name);
        }
    }

    #[test]
    fn packed_files_are_the_same_files() {
        for file in &FILES {
            let mut unpacked = Vec::new();
            flate2::read::GzDecoder::new(&*gzip(file.text)).read_to_end(&mut unpacked).expect("gzip");
            assert!(unpacked == file.text, "{}", file.name);
            unpacked.clear();
            brotli::BrotliDecompress(&mut &*brotli(file.text), &mut unpacked).expect("brotli");
            assert!(unpacked == file.text, "{}", file.name);
        }
        let all: usize = FILES.iter().map(|file| brotli(file.text).len()).sum();
        assert!(all < 60_000, "the first page takes {all} bytes");
    }
}
