//! A folder whose files are served: which file a path stands for, and what answers where there is none.

use super::replacement::Replacement;
use crate::core::template::Template;
use crate::core::variable::Facts;
use http::HeaderValue;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

/// A folder whose files are served.
#[derive(Clone, Debug, PartialEq)]
pub struct Files {
    pub root: PathBuf,
    /// The folder below the root that is the request's own, where the configuration has one.
    pub below: Option<Template>,
    /// What stands for a folder: the first name that is there.
    pub index: Arc<[String]>,
    /// Bytes of the path that are not looked for below the root: the route's own prefix, or none.
    pub strip: usize,
    /// Whether a path of a folder is answered, with what stands for it.
    pub folders: bool,
    /// What a path stands for, in this order; where there are none, for itself, and for a folder if `folders`.
    pub candidates: Vec<FileCandidate>,
    /// What a folder without an index is answered with.
    pub autoindex: Autoindex,
    pub symlinks: Symlinks,
    /// The media type of files whose names say none.
    pub default_type: HeaderValue,
    /// What answers a path without a file, in place of 404.
    pub fallback: Option<Fallback>,
}

/// What a path may stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileCandidate {
    /// The file of its own name.
    Path,
    /// The file with this behind its path.
    Suffixed(String),
    /// The folder of its name; where there is one without an index, nothing else is looked for.
    Folder,
    /// This file, by its path below the root.
    Fixed(String),
}

/// What stands for a folder without an index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Autoindex {
    /// 403.
    #[default]
    Off,
    /// A list of what is in it, as JSON for those who ask for it.
    On,
    /// A list as JSON.
    Json,
}

/// Which symbolic links are followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Symlinks {
    /// None.
    Off,
    /// Those that stay below the root.
    #[default]
    Inside,
    Any,
}

/// What answers in place of a file that is not there.
#[derive(Clone, Debug, PartialEq)]
pub enum Fallback {
    /// An error of this status.
    Status(u16),
    /// The route for another path.
    Path(Replacement),
    /// The route of this name.
    Route(String),
}

impl Files {
    /// The folder for a request: `None` where what it says of itself makes no folder below the root. A part that
    /// is empty, hidden or climbs makes none.
    pub fn folder(&self, facts: &Facts<'_>) -> Option<PathBuf> {
        let Some(below) = &self.below else { return Some(self.root.clone()) };
        let mut folder = Vec::new();
        below.fill(facts, &mut folder);
        let is_plain = |part: &[u8]| !part.is_empty() && !part.starts_with(b".") && !part.contains(&0);
        let is_below = folder.split(|byte| *byte == b'/').all(is_plain);
        is_below.then(|| self.root.join(OsStr::from_bytes(&folder)))
    }
}

impl FileCandidate {
    /// `$path`, `$path.html`, `$path/index.html`, `$path/` or `/fixed.html`.
    ///
    /// # Errors
    /// A sentence that says what may be written.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "\"{text}\" is none of \"$path\", \"$path.html\", \"$path/\" and a file, \"/maintenance.html\""
            )
        };
        let is_hidden = |part: &str| part.starts_with('.') || part.contains(['\0', '\\']);
        if let Some(suffix) = text.strip_prefix("$path") {
            return match suffix {
                "" => Ok(FileCandidate::Path),
                "/" => Ok(FileCandidate::Folder),
                suffix if suffix.contains(['$', '%', '?']) || suffix.ends_with('/') => Err(wrong()),
                suffix => {
                    let mut parts = suffix.split('/');
                    let ending = parts.next().unwrap_or_default();
                    let is_legal = !ending.contains(['\0', '\\']) && !ending.contains("..");
                    let is_legal = is_legal && parts.all(|part| !part.is_empty() && !is_hidden(part));
                    is_legal.then(|| FileCandidate::Suffixed(suffix.to_owned())).ok_or_else(wrong)
                }
            };
        }
        let parts = text.strip_prefix('/').ok_or_else(wrong)?;
        if text.contains(['$', '%', '?']) || text.ends_with('/') || parts.split('/').any(is_hidden) {
            return Err(wrong());
        }
        Ok(FileCandidate::Fixed(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_read_and_what_climbs_is_refused() {
        let read = |text| FileCandidate::parse(text).ok();
        assert_eq!(read("$path"), Some(FileCandidate::Path));
        assert_eq!(read("$path/"), Some(FileCandidate::Folder));
        assert_eq!(read("$path.html"), Some(FileCandidate::Suffixed(".html".to_owned())));
        assert_eq!(read("$path/index.html"), Some(FileCandidate::Suffixed("/index.html".to_owned())));
        assert_eq!(read("/a/b.html"), Some(FileCandidate::Fixed("/a/b.html".to_owned())));
        for text in [
            "",
            "$uri",
            "$path/../x",
            "$path..",
            "$path/a/",
            "$path//a",
            "$path/.git/x",
            "$path.a/..",
            "$path$path",
            "/",
            "/../x",
            "/.git",
            "/a/",
            "a.html",
            "/a?b",
            "/%2e",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
