//! The main file with all that it includes, as one tree.
//!
//! As in nginx, a relative name starts from the folder of the main file, `*`, `?` and `[…]` stand for
//! any file that fits, in the order of their names, and a pattern that fits nothing is fine. Unlike
//! nginx, a file that cannot be read does not end it: it is a directive that was not carried over.

use super::SyntaxError;
use super::parse::parse;
use super::tree::{Directive, Place, number};
use std::path::{Path, PathBuf};

/// Most files in a tree: a configuration that includes more is not one.
const MAX_FILES: usize = 10_000;

/// A whole configuration.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Numbered; what was included stands behind its `include`.
    pub directives: Vec<Directive>,
    /// How many there are, at all depths.
    pub count: usize,
    /// The `include` directives whose file could not be read, and why.
    pub unread: Vec<(Place, String)>,
}

struct Reader<'a> {
    base: &'a Path,
    /// The files that are being read, outermost first.
    open: Vec<PathBuf>,
    files: usize,
    unread: Vec<(Place, String)>,
}

/// # Errors
/// What nginx would refuse: bad syntax, a file that includes itself.
pub(super) fn read(path: &Path) -> Result<Tree, SyntaxError> {
    let base = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut reader = Reader { base, open: Vec::new(), files: 0, unread: Vec::new() };
    let text = read_file(path).map_err(|error| SyntaxError {
        file: path.display().to_string(),
        line: 0,
        column: 0,
        detail: format!("cannot be read: {error}"),
    })?;
    let directives = reader.file(path, &text)?;
    Ok(tree(directives, reader.unread))
}

/// The same for a text that includes nothing.
///
/// # Errors
/// Bad syntax.
pub(super) fn read_text(text: &str, name: &str) -> Result<Tree, SyntaxError> {
    let directives = parse(text, name)?;
    let mut unread = Vec::new();
    for directive in &directives {
        directive.visit(&mut |inner| {
            if inner.name == "include" {
                unread.push((inner.place.clone(), "there are no files beside this text".to_owned()));
            }
        });
    }
    Ok(tree(directives, unread))
}

fn tree(mut directives: Vec<Directive>, unread: Vec<(Place, String)>) -> Tree {
    let count = number(&mut directives, 0);
    Tree { directives, count, unread }
}

/// Old configurations hold comments in any encoding.
fn read_file(path: &Path) -> std::io::Result<String> {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

impl Reader<'_> {
    fn file(&mut self, path: &Path, text: &str) -> Result<Vec<Directive>, SyntaxError> {
        let parsed = parse(text, &path.display().to_string())?;
        self.open.push(path.canonicalize().unwrap_or_else(|_| path.to_owned()));
        let expanded = self.expand(parsed);
        self.open.pop();
        expanded
    }

    fn expand(&mut self, directives: Vec<Directive>) -> Result<Vec<Directive>, SyntaxError> {
        let mut all = Vec::with_capacity(directives.len());
        for mut directive in directives {
            if let Some(block) = directive.block.take() {
                directive.block = Some(self.expand(block)?);
            }
            let included = if directive.name == "include" { self.include(&directive)? } else { Vec::new() };
            all.push(directive);
            all.extend(included);
        }
        Ok(all)
    }

    fn include(&mut self, directive: &Directive) -> Result<Vec<Directive>, SyntaxError> {
        let mut all = Vec::new();
        let pattern = Path::new(directive.arg(0));
        // A folder that is named whole is the machine's own: this may be another one.
        if let Some(folder) = fixed_part(pattern).filter(|folder| pattern.is_absolute() && !folder.is_dir()) {
            self.unread.push((directive.place.clone(), format!("there is no folder {}", folder.display())));
        }
        for path in matching(&self.base.join(pattern)) {
            let canonical = path.canonicalize().unwrap_or_else(|_| path.clone());
            self.files += 1;
            if self.open.contains(&canonical) || self.files > MAX_FILES {
                let Place { file, line, column } = &directive.place;
                return Err(SyntaxError {
                    file: file.to_string(),
                    line: *line,
                    column: *column,
                    detail: format!("{} includes itself; take this include out", path.display()),
                });
            }
            match read_file(&path) {
                Ok(text) => all.extend(self.file(&path, &text)?),
                Err(error) => {
                    self.unread.push((directive.place.clone(), format!("{}: {error}", path.display())));
                }
            }
        }
        Ok(all)
    }
}

/// The folder before the first part that is a pattern.
fn fixed_part(pattern: &Path) -> Option<PathBuf> {
    let is_plain =
        |part: &std::path::Component<'_>| !part.as_os_str().to_string_lossy().contains(['*', '?', '[']);
    let plain: PathBuf = pattern.components().take_while(is_plain).collect();
    (plain != pattern).then_some(plain)
}

/// The files that a pattern stands for, sorted; a name without a pattern stands for itself.
fn matching(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let text = part.as_os_str().to_string_lossy();
        if !text.contains(['*', '?', '[']) {
            found.iter_mut().for_each(|path| path.push(part));
            continue;
        }
        let fits = |path: &PathBuf| {
            let folder = if path.as_os_str().is_empty() { Path::new(".") } else { path };
            let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
            let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
            let hidden = text.starts_with('.');
            let mut names: Vec<_> =
                names.filter(|name| (hidden || !name.starts_with('.')) && glob(&text, name)).collect();
            names.sort();
            names.into_iter().map(|name| path.join(name)).collect::<Vec<_>>()
        };
        found = found.iter().flat_map(fits).collect();
    }
    found.retain(|path| !pattern.to_string_lossy().contains(['*', '?', '[']) || path.is_file());
    found
}

/// `*` any text, `?` any character, `[a-c]` one of some, `[!a]` one of the others.
fn glob(pattern: &str, name: &str) -> bool {
    let mut expression = String::from("(?s)^");
    let mut chars = pattern.chars();
    while let Some(next) = chars.next() {
        match next {
            '*' => expression.push_str(".*"),
            '?' => expression.push('.'),
            '[' => {
                let set: String = chars.by_ref().take_while(|c| *c != ']').collect();
                let (not, set) = set.strip_prefix('!').map_or(("", set.as_str()), |set| ("^", set));
                expression.push_str(&format!("[{not}{}]", set.replace('[', "\\[")));
            }
            other => expression.push_str(&regex::escape(&other.to_string())),
        }
    }
    regex::Regex::new(&(expression + "$")).is_ok_and(|regex| regex.is_match(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            std::fs::write(path, text).expect("a file");
        }
        dir
    }

    #[test]
    fn includes_are_spliced_in_the_order_of_their_names() {
        let dir = folder(&[
            ("nginx.conf", "http {\n include sites/*.conf;\n include none/*.conf;\n include gone;\n}"),
            ("sites/b.conf", "b;"),
            ("sites/a.conf", "a;\ninclude inner;"),
            ("inner", "i;"),
            ("sites/.hidden.conf", "h;"),
        ]);
        let tree = read(&dir.path().join("nginx.conf")).expect("a tree");
        let names: Vec<_> = tree.directives[0].block().iter().map(|d| d.name.as_str()).collect();
        assert_eq!(names, ["include", "a", "include", "i", "b", "include", "include"]);
        assert_eq!((tree.count, tree.unread.len()), (8, 1));
        assert_eq!(tree.unread[0].0.line, 4);
        assert!(tree.directives[0].block()[1].place.file.ends_with("sites/a.conf"));
    }

    #[test]
    fn loops_are_refused_with_their_place() {
        let dir = folder(&[("nginx.conf", "a;\n include b;"), ("b", "include nginx.conf;")]);
        let error = read(&dir.path().join("nginx.conf")).expect_err("a loop");
        assert!(error.file.ends_with('b') && error.line == 1 && error.detail.contains("includes itself"));
        std::fs::write(dir.path().join("else"), "include /nonexistent/conf.d/*.conf; include /*/none;")
            .expect("a file");
        assert_eq!(
            read(&dir.path().join("else")).expect("a tree").unread.len(),
            1,
            "a folder of another machine"
        );
        let missing = read(&dir.path().join("none")).expect_err("no file");
        assert!(missing.to_string().contains("none: cannot be read"), "{missing}");
    }

    #[test]
    fn patterns_fit_as_those_of_a_shell() {
        for (pattern, name, fits) in [
            ("*.conf", "a.conf", true),
            ("*.conf", "aconf", false),
            ("?.conf", "ab.conf", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[", "a", false),
        ] {
            assert_eq!(glob(pattern, name), fits, "{pattern} {name}");
        }
    }
}
