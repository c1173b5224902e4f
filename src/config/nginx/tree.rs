//! A configuration of nginx as it was written: directives in directives, each with its place.

use std::fmt;
use std::rc::Rc;

/// Where a directive begins. Lines and columns count from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub file: Rc<str>,
    pub line: usize,
    pub column: usize,
}

impl Place {
    /// In no file.
    pub(super) fn none() -> Self {
        Place { file: Rc::from(""), line: 0, column: 0 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// `name arg arg;` or `name arg { … }`.
#[derive(Clone, Debug)]
pub(super) struct Directive {
    /// Its number in the whole tree, given when the tree is complete: a file that is included twice
    /// gives two directives.
    pub id: usize,
    pub name: String,
    /// Without their quotes, escapes resolved.
    pub args: Vec<String>,
    pub place: Place,
    pub block: Option<Vec<Directive>>,
    /// A block in another language, which is not read.
    pub is_code: bool,
}

impl Directive {
    pub(super) fn arg(&self, index: usize) -> &str {
        self.args.get(index).map_or("", String::as_str)
    }

    pub(super) fn block(&self) -> &[Directive] {
        self.block.as_deref().unwrap_or_default()
    }

    /// The only argument is `on`.
    pub(super) fn is_on(&self) -> bool {
        self.arg(0).eq_ignore_ascii_case("on")
    }

    /// Whether its block holds data, pairs of keys and values, in place of directives.
    pub(super) fn holds_data(&self) -> bool {
        matches!(self.name.as_str(), "map" | "geo" | "split_clients" | "types" | "charset_map")
    }

    /// Name and arguments on one line, a block as `{…}`.
    pub(super) fn summary(&self) -> String {
        let shown = |word: &String| {
            let plain =
                !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || "\"';{}".contains(c));
            if plain { word.clone() } else { format!("{word:?}") }
        };
        let mut text = shown(&self.name);
        for arg in &self.args {
            text.push(' ');
            text.push_str(&shown(arg));
        }
        match text.char_indices().nth(100) {
            Some((at, _)) => format!("{}…", &text[..at]),
            None => text,
        }
    }

    /// Itself and everything in it, in the order of the file.
    pub(super) fn visit<'a>(&'a self, see: &mut dyn FnMut(&'a Directive)) {
        see(self);
        self.block().iter().for_each(|inner| inner.visit(see));
    }
}

/// Numbers the directives of a complete tree; how many there are.
pub(super) fn number(directives: &mut [Directive], from: usize) -> usize {
    let mut next = from;
    for directive in directives {
        directive.id = next;
        next = number(directive.block.as_deref_mut().unwrap_or_default(), next + 1);
    }
    next
}
