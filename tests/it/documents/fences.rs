//! The fenced blocks of a page, with what stands in the comment above them.

/// A block, as `` ```sh `` begins one.
pub struct Fence {
    pub page: String,
    /// Of its first line; the page's first is 1.
    pub line: usize,
    pub kind: String,
    /// With their numbers.
    pub lines: Vec<(usize, String)>,
    /// What the comment right above says: `<!-- exits: 3; given: blue answers 500 -->`.
    pub notes: Vec<(String, String)>,
}

/// A command of a fence; one that goes on behind a backslash has several lines.
pub struct Typed {
    pub line: usize,
    pub text: String,
}

impl Fence {
    pub fn note(&self, key: &str) -> Option<&str> {
        self.notes.iter().find(|(known, _)| known == key).map(|(_, value)| &**value)
    }

    pub fn commands(&self) -> Vec<Typed> {
        let mut commands: Vec<Typed> = Vec::new();
        let mut goes_on = false;
        for (line, text) in &self.lines {
            match commands.last_mut().filter(|_| goes_on) {
                Some(last) => last.text.extend(["\n", text]),
                None if text.trim().is_empty() || text.trim_start().starts_with('#') => continue,
                None => commands.push(Typed { line: *line, text: text.clone() }),
            }
            goes_on = text.ends_with('\\');
        }
        commands
    }
}

/// Where a line of a page stands.
enum Place {
    Prose,
    /// The line that begins a block.
    Begins,
    Within,
    Ends,
}

/// The lines of a page with their numbers.
fn places(page: &str) -> Vec<(usize, Place, String)> {
    let mut is_within = false;
    let place = |(at, line): (usize, &str)| {
        let place = match (line.starts_with("```"), is_within) {
            (true, false) => Place::Begins,
            (true, true) => Place::Ends,
            (false, true) => Place::Within,
            (false, false) => Place::Prose,
        };
        is_within = matches!(place, Place::Begins | Place::Within);
        (at + 1, place, line.to_owned())
    };
    page.lines().enumerate().map(place).collect()
}

/// The lines outside of blocks, with their numbers and without code that stands in them.
pub fn prose(page: &str) -> Vec<(usize, String)> {
    let lines = places(page).into_iter().filter(|(_, place, _)| matches!(place, Place::Prose));
    lines.map(|(at, _, line)| (at, if line.starts_with('#') { line } else { without_code(&line) })).collect()
}

/// Links stay, though what they show is code.
fn without_code(line: &str) -> String {
    let parts = line.split('`').enumerate();
    parts.filter(|(at, _)| at % 2 == 0).map(|(_, part)| part).collect::<Vec<_>>().join("")
}

pub fn of(name: &str, page: &str) -> Vec<Fence> {
    let mut fences: Vec<Fence> = Vec::new();
    let mut above = String::new();
    for (at, place, text) in places(page) {
        match place {
            Place::Prose if text.trim().is_empty() => (),
            Place::Prose => above = text,
            Place::Begins => fences.push(Fence {
                page: name.to_owned(),
                line: at + 1,
                kind: text.trim_start_matches('`').to_owned(),
                lines: Vec::new(),
                notes: notes(&above),
            }),
            Place::Within => {
                let last = fences.last_mut().expect("a block has begun");
                last.lines.push((at, text));
            }
            Place::Ends => above.clear(),
        }
    }
    fences
}

fn notes(above: &str) -> Vec<(String, String)> {
    let inner = above.trim().strip_prefix("<!--").and_then(|rest| rest.strip_suffix("-->"));
    // A reason is a sentence, with whatever stands in it.
    let is_reason = |inner: &str| inner.trim_start().starts_with("not run:");
    let split = |inner: &str| -> Vec<String> {
        if is_reason(inner) { vec![inner.to_owned()] } else { inner.split(';').map(str::to_owned).collect() }
    };
    let notes = inner.into_iter().flat_map(split);
    let pair = |note: String| {
        let (key, value) = note.split_once(':').unwrap_or((&note, ""));
        (key.trim().to_owned(), value.trim().to_owned())
    };
    notes.map(pair).collect()
}

#[test]
fn blocks_are_read_with_their_notes() {
    let page = "# One\n<!-- exits: 3; given: it is so -->\n```sh\na \\\n  b\n\n# why\nc\n```\n[`x`](y)\n```text\nout\n```\n";
    let all = of("page", page);
    assert_eq!(all.len(), 2);
    assert_eq!((all[0].line, &*all[0].kind, &*all[1].kind), (4, "sh", "text"));
    assert_eq!(
        (all[0].note("exits"), all[0].note("given"), all[0].note("no")),
        (Some("3"), Some("it is so"), None)
    );
    let commands: Vec<_> = all[0].commands().into_iter().map(|typed| (typed.line, typed.text)).collect();
    assert_eq!(commands, [(4, "a \\\n  b".to_owned()), (8, "c".to_owned())]);
    let prose: Vec<_> = prose(page).into_iter().map(|(at, line)| format!("{at} {line}")).collect();
    assert_eq!(prose, ["1 # One", "2 <!-- exits: 3; given: it is so -->", "10 [](y)"]);
}
