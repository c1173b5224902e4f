//! README and `docs`: what they say to type works, links lead somewhere, every command has its entry, pages stay short.

mod commands;
mod configurations;
mod fences;

use super::alerts::root;
use super::harness::Printed;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The most lines of a page, and of README.
const PAGE: usize = 400;
const README: usize = 150;

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Files of this kind in a folder and those below it.
fn files_in(dir: &Path, kind: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
    let nested = entries.map(|path| if path.is_dir() { files_in(&path, kind) } else { vec![path] });
    nested.flatten().filter(|path| path.extension().is_some_and(|ext| ext == kind)).collect()
}

fn pages() -> Vec<PathBuf> {
    let of_root = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|name| root().join(name));
    let all: Vec<_> = of_root.into_iter().chain(files_in(&root().join("docs"), "md")).collect();
    assert!(all.len() > 25, "the test must see the pages: {all:?}");
    all
}

fn name(page: &Path) -> String {
    page.strip_prefix(root()).expect("inside").display().to_string()
}

#[test]
fn no_page_is_too_long_to_be_read() {
    let most = |page: &Path| match &*name(page) {
        "README.md" => README,
        "CHANGELOG.md" => usize::MAX,
        _ => PAGE,
    };
    let lines = |page: &Path| read(page).lines().count();
    let long = pages().into_iter().filter(|page| lines(page) > most(page));
    let long: Vec<_> = long.map(|page| format!("{}: {} lines", name(&page), lines(&page))).collect();
    assert!(long.is_empty(), "split them by topic: {long:?}");
}

/// What a heading is called in links, as GitHub makes it of its text.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let headings = fences::prose(page).into_iter().filter_map(|(_, line)| {
        let text = line.trim_start_matches('#');
        (text.len() < line.len()).then(|| text.strip_prefix(' ').map(str::to_owned)).flatten()
    });
    let slug = |text: String| -> String {
        let kept = text.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    let mut anchors = BTreeSet::new();
    for slug in headings.map(slug) {
        let count = seen.entry(slug.clone()).or_default();
        anchors.insert(if *count == 0 { slug } else { format!("{slug}-{count}") });
        *count += 1;
    }
    anchors
}

/// The targets of a page's links, with their lines.
fn links(page: &str) -> Vec<(usize, String)> {
    let of_line = |(line, text): (usize, String)| {
        let targets: Vec<_> = text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
        targets.into_iter().map(|target| (line, target.to_owned())).collect::<Vec<_>>()
    };
    fences::prose(page).into_iter().flat_map(of_line).collect()
}

/// What is wrong with a link of a page, if something is.
fn broken(page: &Path, text: &str, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
    let path = page.parent().expect("a folder").join(file);
    let other = match file {
        "" => text.to_owned(),
        _ if !path.exists() => return Some("there is no such file".to_owned()),
        _ if anchor.is_none() => return None,
        _ => read(&path),
    };
    let anchor = anchor?;
    (!anchors(&other).contains(anchor)).then(|| "there is no such heading".to_owned())
}

#[test]
fn every_link_leads_somewhere() {
    let (mut seen, mut faults) = (0, Vec::new());
    for page in pages() {
        let text = read(&page);
        for (line, target) in links(&text) {
            seen += 1;
            let why = broken(&page, &text, &target);
            faults.extend(why.map(|why| format!("{}:{line}: {target}: {why}", name(&page))));
        }
    }
    assert!(seen > 120, "the test must see the links: {seen}");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let page = root().join("README.md");
    assert!(broken(&page, "", "docs/none.md").is_some() && broken(&page, "", "docs/api.md#none").is_some());
    assert!(broken(&page, "# One `[two]`\n", "#one-two").is_none() && broken(&page, "", "#one").is_some());
}

/// Every page but generated ones is found from README, over one other page at most.
#[test]
fn every_page_is_found_from_the_readme() {
    let linked = |page: &Path| -> BTreeSet<PathBuf> {
        let files = links(&read(page)).into_iter().filter(|(_, target)| !target.contains("://"));
        let files = files.filter_map(|(_, target)| Some(target.split('#').next()?.to_owned()));
        files.filter_map(|file| page.parent()?.join(file).canonicalize().ok()).collect()
    };
    let readme = linked(&root().join("README.md"));
    let is_page = |path: &&PathBuf| path.extension().is_some_and(|ext| ext == "md");
    let near: BTreeSet<_> =
        readme.iter().filter(is_page).flat_map(|page| linked(page)).chain(readme.clone()).collect();
    let canonical =
        files_in(&root().join("docs"), "md").into_iter().map(|page| page.canonicalize().expect("a file"));
    let lost: Vec<_> = canonical.filter(|page| !near.contains(page)).collect();
    assert!(lost.is_empty(), "{lost:?}");
}

/// The commands that a line of the table in `docs/cli.md` is about: `rollout start, pause` are two.
fn commands_of(cell: &str) -> Vec<String> {
    let is_word = |word: &&str| word.starts_with(|c: char| c.is_ascii_lowercase());
    let of_span = |span: &str| -> Vec<String> {
        let words: Vec<&str> = span.split(' ').take_while(is_word).collect();
        match words.as_slice() {
            [group, rest @ ..] if span.contains(',') => {
                rest.iter().map(|word| format!("{group} {}", word.trim_end_matches(','))).collect()
            }
            words => vec![words.join(" ")],
        }
    };
    cell.split('`').skip(1).step_by(2).flat_map(of_span).collect()
}

#[test]
fn every_command_has_its_entry() {
    let dir = TempDir::new().expect("a directory");
    let written = Printed::of(&["man", "--dir", &dir.path().display().to_string()], dir.path());
    assert_eq!(written.code, 0, "{written:?}");
    let files = std::fs::read_dir(dir.path()).expect("a directory").map(|entry| entry.expect("an entry"));
    let name = |file: String| {
        file.strip_prefix("pointsman-").and_then(|rest| rest.strip_suffix(".1")).map(str::to_owned)
    };
    let pages: BTreeSet<String> =
        files.filter_map(|file| name(file.file_name().into_string().ok()?)).collect();
    let is_group = |page: &String| pages.iter().any(|other| other.starts_with(&format!("{page}-")));
    let leaves = pages.iter().filter(|page| !is_group(page) && *page != "help" && !page.ends_with("-help"));
    let there: BTreeSet<String> = leaves.map(|page| page.replace('-', " ")).collect();
    let page = read(&root().join("docs/cli.md"));
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let documented: BTreeSet<String> = rows.flat_map(|cell| commands_of(&format!("`{cell}"))).collect();
    assert!(there.contains("rollout start") && there.len() > 30, "{there:?}");
    assert_eq!(documented, there, "left: docs/cli.md; right: the program");
}

/// What a page says to copy or to look at is there.
#[test]
fn files_that_commands_name_are_there() {
    let mut seen = 0;
    for page in pages() {
        for fence in fences::of(&name(&page), &read(&page)) {
            let words =
                fence.lines.iter().flat_map(|(line, text)| text.split(' ').map(move |word| (line, word)));
            for (line, word) in words.filter(|(_, word)| word.starts_with("conf/")) {
                seen += 1;
                assert!(root().join(word).exists(), "{}:{line}: {word} is not there", fence.page);
            }
        }
    }
    assert!(seen > 3, "the test must see them: {seen}");
}
