//! Where a path leads below the root: never above it, and to nothing hidden.

use crate::core::route::decoded;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// The one hidden folder that is there to be seen (RFC 8615).
const WELL_KNOWN: &[u8] = b".well-known";

/// A place, relative to the root.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FilePlace {
    pub path: PathBuf,
    /// Whether it is meant as a folder, for which something else stands.
    pub is_folder: bool,
}

/// Where a path leads, without its first `strip` bytes; or the status to refuse with: 400 for a path that tries to leave
/// the root, or could be read as such, 403 for what is hidden, 404 for a folder where there are none.
pub(super) fn below(path: &str, strip: usize, folders: bool) -> Result<FilePlace, u16> {
    let path = decoded(path).map_err(|_| 400_u16)?;
    let mut place: Vec<u8> = Vec::with_capacity(path.len() + 1);
    for (at, segment) in path.split(|byte| *byte == b'/').filter(|segment| !segment.is_empty()).enumerate() {
        if matches!(segment, b"." | b"..") || segment.contains(&b'\\') {
            return Err(400);
        }
        if segment.starts_with(b".") && !(at == 0 && segment == WELL_KNOWN) {
            return Err(403);
        }
        place.push(b'/');
        place.extend_from_slice(segment);
    }
    if path.ends_with(b"/") && !folders {
        return Err(404);
    }
    let is_folder = path.ends_with(b"/") || place.len() <= strip;
    if is_folder {
        place.push(b'/');
    }
    // The slash that begins it makes it absolute.
    let (stripped, relative) = place.split_at(strip.clamp(1, place.len()));
    if !stripped.ends_with(b"/") && !relative.starts_with(b"/") {
        // What is stripped ends within a name: the route was for another path.
        return Err(400);
    }
    let relative = relative.strip_prefix(b"/").unwrap_or(relative);
    Ok(FilePlace { path: PathBuf::from(OsString::from_vec(relative.to_vec())), is_folder })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Component;

    /// The file's place, where `index.html` stands for a folder.
    fn file(path: &str, strip: usize) -> Result<PathBuf, u16> {
        let place = below(path, strip, true)?;
        Ok(if place.is_folder { place.path.join("index.html") } else { place.path })
    }

    #[test]
    fn paths_lead_below_the_root() {
        for (path, strip, place) in [
            ("/a.txt", 0, "a.txt"),
            ("/a%20b/c", 0, "a b/c"),
            ("//a///b", 0, "a/b"),
            ("/", 0, "index.html"),
            ("/docs/", 0, "docs/index.html"),
            ("/docs", 0, "docs"),
            ("/.well-known/acme-challenge/x", 0, ".well-known/acme-challenge/x"),
            ("/static/a.css", "/static/".len(), "a.css"),
            ("//static//a.css", "/static/".len(), "a.css"),
            ("/static/", "/static/".len(), "index.html"),
            ("/favicon.ico", "/favicon.ico".len(), "index.html"),
            ("/..a/b..", 0, ""),
        ] {
            match file(path, strip) {
                Ok(found) => assert_eq!(found, PathBuf::from(place), "{path}"),
                Err(status) => assert_eq!((status, place), (403, ""), "{path}"),
            }
        }
    }

    #[test]
    fn what_leaves_the_root_or_is_hidden_is_refused() {
        for (path, status) in [
            ("/../etc/passwd", 400),
            ("/a/../../etc/passwd", 400),
            ("/%2e%2e/etc/passwd", 400),
            ("/%2e./x", 400),
            ("/a%2f..%2f..%2fetc/passwd", 400),
            ("/a/..", 400),
            ("/./a", 400),
            ("/..%5c..%5cetc", 400),
            ("/a\\b", 400),
            ("/a%00.txt", 400),
            ("/a%zz", 400),
            ("/.git/config", 403),
            ("/%2egit/config", 403),
            ("/a/.htaccess", 403),
            ("/a/.well-known/x", 403),
            ("/.well-known/.secret", 403),
        ] {
            assert_eq!(file(path, 0), Err(status), "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_path_is_absolute_or_climbs(path in "/[a./%25ecf\\\\]{0,24}", strip in prop::sample::select(vec![0, 1, 3])) {
            if let Ok(place) = file(&path, strip) {
                prop_assert!(place.components().all(|part| matches!(part, Component::Normal(_))), "{:?}", place);
            }
        }
    }
}
