//! The log files: their lines, one after the other, each read by its format.

use super::super::client::Failure;
use super::asked::Replay;
use super::said::{Said, Unread};
use super::template::Template;
use super::times::Local;
use super::{combined, json};
use flate2::read::MultiGzDecoder;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// A longer line is no line of an access log.
const LONGEST: u64 = 1 << 20;
/// Unreadable lines that are reported one by one.
const TOLD: usize = 5;
const BUFFER: usize = 256 * 1024;

/// The logs, and how they are read.
#[derive(Debug)]
pub(super) struct Logs {
    files: Vec<PathBuf>,
    template: Option<Template>,
    /// Pools by the addresses of their upstreams.
    pools: HashMap<String, String>,
}

/// What came of reading them.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Tale {
    pub lines: u64,
    pub unreadable: u64,
    /// The first of those, with file, line and why.
    pub first_unreadable: Vec<String>,
    /// The files, and how many lines came before each.
    #[serde(skip)]
    pub files: Vec<(u64, String)>,
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Place {
    pub file: String,
    pub line: u64,
}

impl Tale {
    /// Where a line is that was counted over all files.
    pub(super) fn place(&self, line: u64) -> Option<Place> {
        let (before, file) = self.files.iter().rev().find(|(before, _)| *before < line)?;
        Some(Place { file: file.clone(), line: line - before })
    }
}

impl Logs {
    pub(super) fn new(asked: &Replay) -> Result<Self, Failure> {
        if asked.logs.is_empty() {
            return Err(Failure::Other("no log is named; add one, such as access.log".into()));
        }
        let template = asked.format.as_deref().map(Template::parse).transpose();
        let template = template.map_err(|why| Failure::Other(format!("--format: {why}")))?;
        let each = asked.pools.iter();
        let pools = each.flat_map(|(pool, at)| at.iter().map(|address| (address.clone(), pool.clone())));
        Ok(Logs { files: asked.logs.clone(), template, pools: pools.collect() })
    }

    /// Whether they can be read only once.
    pub(super) fn is_stream(&self) -> bool {
        self.files.iter().any(|file| file.as_os_str() == "-")
    }

    /// Every request, with the number of its line, over all files.
    pub(super) fn each(&self, mut take: impl FnMut(u64, Said<'_>)) -> Result<Tale, Failure> {
        let (mut tale, mut local, mut text) = (Tale::default(), Local::default(), Vec::new());
        for path in &self.files {
            let failed = |error: io::Error| Failure::File {
                file: path.display().to_string(),
                detail: error.to_string(),
            };
            let mut lines = open(path).map_err(failed)?;
            tale.files.push((tale.lines, path.display().to_string()));
            let mut in_file = 0_u64;
            while next(&mut *lines, &mut text).map_err(failed)? {
                (tale.lines, in_file) = (tale.lines + 1, in_file + 1);
                match self.read(text.trim_ascii(), &mut local) {
                    Ok(Some(said)) => take(tale.lines, said),
                    Ok(None) => {}
                    Err(why) => {
                        tale.unreadable += 1;
                        if tale.first_unreadable.len() < TOLD {
                            tale.first_unreadable.push(format!("{}:{in_file}: {why}", path.display()));
                        }
                    }
                }
            }
        }
        Ok(tale)
    }

    /// `None` for an empty line.
    fn read<'a>(&self, line: &'a [u8], local: &mut Local) -> Result<Option<Said<'a>>, Unread> {
        if line.is_empty() {
            return Ok(None);
        }
        let mut said = match (&self.template, line.first()) {
            (None, Some(b'{')) => json::read(line)?,
            (template, _) => {
                let text = std::str::from_utf8(line).map_err(|_| "it is no UTF-8".to_owned())?;
                let fields = template.as_ref().map_or_else(|| combined::read(text), |t| t.read(text));
                fields?.said(local)?
            }
        };
        if !self.pools.is_empty() {
            for tried in &mut said.tried {
                if let Some(pool) = self.pools.get(&*tried.pool) {
                    tried.pool = Cow::Owned(pool.clone());
                }
            }
        }
        Ok(Some(said))
    }
}

fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    let file: Box<dyn Read> =
        if path.as_os_str() == "-" { Box::new(io::stdin()) } else { Box::new(File::open(path)?) };
    let mut plain = BufReader::with_capacity(BUFFER, file);
    if plain.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
        return Ok(Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(plain))));
    }
    Ok(Box::new(plain))
}

/// The next line; what is longer than any is cut, and its rest read over.
fn next(lines: &mut dyn BufRead, text: &mut Vec<u8>) -> io::Result<bool> {
    text.clear();
    let read = Read::take(&mut *lines, LONGEST).read_until(b'\n', text)?;
    if read as u64 == LONGEST && !text.ends_with(b"\n") {
        while !text.ends_with(b"\n") {
            text.clear();
            if Read::take(&mut *lines, LONGEST).read_until(b'\n', text)? == 0 {
                break;
            }
        }
        text.clear();
        text.extend_from_slice(b"too long");
    }
    Ok(read > 0)
}
