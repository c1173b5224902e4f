//! The rules of the house: who may know whom, and which licences come along.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
    let nested = entries.map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    nested.flatten().filter(|path| path.extension().is_some_and(|ext| ext == "rs")).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every `crate::…` path of a text, without comments and tests.
fn used(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':' || c == '{';
    let mut paths = Vec::new();
    for line in lines {
        for rest in line.split("crate::").skip(1) {
            let path: String = rest.chars().take_while(|c| is_path(*c)).collect();
            let path = path.split('{').next().unwrap_or_default();
            paths.push(path.trim_end_matches(':').to_owned());
        }
    }
    paths
}

/// The table of a module's doc: what each part may use, beside itself. `None` is all.
fn table(file: &str, words: &dyn Fn(&str) -> Option<String>) -> BTreeMap<String, Option<Vec<String>>> {
    let text = std::fs::read_to_string(root().join(file)).expect("a file");
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! | ")?.strip_suffix(" |"));
    let mut parts = BTreeMap::new();
    for row in rows {
        let cells: Vec<&str> = row.split(" | ").collect();
        let [name, _, may] = cells.as_slice() else { continue };
        let Some(name) = name.strip_prefix("[`").and_then(|name| name.strip_suffix("`]")) else { continue };
        let may = (!may.starts_with("all")).then(|| may.split(", ").filter_map(words).collect());
        parts.insert(name.to_owned(), may);
    }
    parts
}

/// The path that the words of the crate's table stand for.
fn crate_path(word: &str) -> Option<String> {
    let path = match word {
        "std" | "small pure crates" => return None,
        "control's commands" => "control::command",
        "control's fleet" => "control::fleet",
        "control's journal" => "control::journal",
        "control's views" => "control::view",
        "admin's shapes" => "admin::shapes",
        "observe's clock" => "observe::clock",
        module => module,
    };
    Some(path.to_owned())
}

#[test]
fn modules_use_only_what_they_may() {
    let src = root().join("src");
    let allowed = table("src/lib.rs", &crate_path);
    assert!(allowed.len() > 8, "{allowed:?}");
    let mut faults = Vec::new();
    let mut seen = 0;
    for path in files(&src) {
        let inner = path.strip_prefix(&src).expect("inside");
        let module = inner.iter().next().and_then(|name| name.to_str()).expect("a name");
        let test = inner.to_string_lossy().contains("test") || inner.to_string_lossy().contains("simulation");
        let Some(Some(may)) = allowed.get(module).filter(|_| !test) else { continue };
        for used in used(&std::fs::read_to_string(&path).expect("a file")) {
            seen += 1;
            let own = used == module || used.starts_with(&format!("{module}::"));
            let fine = may.iter().any(|may| used == *may || used.starts_with(&format!("{may}::")));
            if !own && !fine {
                faults.push(format!("{}: {module} uses {used}", inner.display()));
            }
        }
    }
    assert!(seen > 100, "the test must see the use lines: {seen}");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Which files of a module use which others of it, by their paths in it.
fn uses_within(module: &str) -> BTreeMap<String, BTreeSet<String>> {
    let dir = root().join("src").join(module);
    let name = |path: &Path| {
        let inner = path.strip_prefix(&dir).expect("inside").with_extension("");
        let parts: Vec<_> = inner.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        parts.join("::").trim_end_matches("::mod").to_owned()
    };
    let is_test = |path: &PathBuf| {
        let inner = path.to_string_lossy();
        path.ends_with("tests.rs") || inner.contains("/fuzzing") || inner.contains("/simulation")
    };
    let paths: Vec<PathBuf> = files(&dir).into_iter().filter(|path| !is_test(path)).collect();
    let known: BTreeSet<String> = paths.iter().map(|path| name(path)).collect();
    let find = |path: &str| {
        let mut path = path;
        while !known.contains(path) {
            path = path.rsplit_once("::")?.0;
        }
        Some(path.to_owned())
    };
    paths
        .iter()
        .map(|path| {
            let own = name(path);
            let used = imports(&std::fs::read_to_string(path).expect("a file"), module, &own);
            let others = used.iter().filter_map(|used| find(used)).filter(|other| *other != own).collect();
            (own, others)
        })
        .collect()
}

/// What a file imports of its module, as paths in it.
fn imports(text: &str, module: &str, own: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let code: String =
        code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join(" ");
    let mut paths = Vec::new();
    for import in code.split("use ").skip(1).filter_map(|rest| rest.split(';').next()) {
        expand("", &import.replace(' ', ""), &mut paths);
    }
    let within = format!("crate::{module}::");
    let relative = |path: &String| {
        let mut rest = path.as_str();
        let mut base: Vec<&str> = own.split("::").collect();
        while let Some(inner) = rest.strip_prefix("super::") {
            rest = inner;
            base.pop();
        }
        match path.strip_prefix(&within) {
            Some(inner) => Some(inner.to_owned()),
            None if rest.len() < path.len() => Some([base, vec![rest]].concat().join("::")),
            None => None,
        }
    };
    paths.iter().filter_map(relative).collect()
}

/// The single paths of an import.
fn expand(before: &str, import: &str, paths: &mut Vec<String>) {
    let Some((prefix, inner)) = import.split_once('{') else {
        return paths.push(format!("{before}{import}"));
    };
    let inner = inner.strip_suffix('}').unwrap_or(inner);
    let (mut depth, mut start) = (0, 0);
    for (at, letter) in inner.char_indices().chain([(inner.len(), ',')]) {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                expand(&format!("{before}{prefix}"), &inner[start..at], paths);
                start = at + 1;
            }
            _ => {}
        }
    }
}

/// One circle, if there is any.
fn circle(uses: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    let mut done = BTreeSet::new();
    for start in uses.keys() {
        let mut way = Vec::new();
        if let Some(found) = follow(start, uses, &mut way, &mut done) {
            return Some(found);
        }
    }
    None
}

fn follow(
    file: &str,
    uses: &BTreeMap<String, BTreeSet<String>>,
    way: &mut Vec<String>,
    done: &mut BTreeSet<String>,
) -> Option<Vec<String>> {
    if let Some(at) = way.iter().position(|before| before == file) {
        return Some(way[at..].to_vec());
    }
    if !done.insert(file.to_owned()) && !way.iter().any(|before| before == file) {
        return None;
    }
    way.push(file.to_owned());
    let found = uses.get(file)?.iter().find_map(|next| follow(next, uses, way, done));
    way.pop();
    found
}

/// With so many files and imports at least, so that a test which has gone blind is noticed.
const WITHOUT_CIRCLES: [(&str, usize, usize); 4] =
    [("proxy", 80, 200), ("control", 40, 150), ("core", 80, 150), ("fleet", 25, 60)];

#[test]
fn no_circle_of_imports_within_a_module() {
    for (module, files, imports) in WITHOUT_CIRCLES {
        let uses = uses_within(module);
        assert!(uses.len() > files, "the test must see the files of {module}: {}", uses.len());
        let seen = uses.values().map(BTreeSet::len).sum::<usize>();
        assert!(seen > imports, "and the imports of {module}: {seen}");
        assert_eq!(circle(&uses), None, "{module}");
    }
    let made = |pairs: &[(&str, &str)]| -> BTreeMap<String, BTreeSet<String>> {
        let mut uses: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (from, to) in pairs {
            uses.entry((*from).to_owned()).or_default().insert((*to).to_owned());
            uses.entry((*to).to_owned()).or_default();
        }
        uses
    };
    assert!(circle(&made(&[("a", "b"), ("b", "c"), ("c", "b")])).is_some());
    assert_eq!(circle(&made(&[("a", "b"), ("a", "c"), ("b", "c")])), None);
}

#[test]
fn rooms_use_only_what_they_may() {
    let allowed = table("src/proxy/mod.rs", &|word| (word != "–").then(|| word.to_owned()));
    assert!(allowed.len() > 7, "{allowed:?}");
    let room = |file: &str| file.split("::").next().unwrap_or_default().to_owned();
    let mut faults = Vec::new();
    for (file, used) in uses_within("proxy") {
        let Some(may) = allowed.get(&room(&file)) else {
            assert!(file == "mod", "{file} is in no room");
            continue;
        };
        let Some(may) = may else { continue };
        let foreign = used.iter().map(|used| room(used)).filter(|used| *used != room(&file));
        faults.extend(foreign.filter(|used| !may.contains(used)).map(|used| format!("{file} uses {used}")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A walk of one request on one page names each file of its way once, and only files that are there.
/// Names that more than one public type of `core`, `control` and `proxy` has. This list only shrinks.
const SHARED_NAMES: &[&str] = &[
    "Answer",
    "Change",
    "Health",
    "Input",
    "Kind",
    "Limit",
    "Maintenance",
    "Order",
    "Place",
    "Pool",
    "Reason",
    "Reply",
    "Running",
    "Seen",
    "Service",
    "Standing",
    "Task",
    "Transition",
    "Upstream",
];

/// A name stands for one type, so that a reader who meets it knows which.
#[test]
fn no_name_of_a_public_type_is_new_twice() {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for module in ["core", "control", "proxy"] {
        for file in files(&root().join("src").join(module)) {
            let is_test =
                |part: &str| file.components().any(|at| at.as_os_str().to_string_lossy().starts_with(part));
            if ["tests", "fuzzing", "simulation"].into_iter().any(is_test) {
                continue;
            }
            let text = std::fs::read_to_string(&file).expect("a file");
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            for line in code.lines().filter(|line| line.starts_with("pub")) {
                let words: Vec<&str> =
                    line.split([' ', '<', '(', ';', '{', '=']).filter(|word| !word.is_empty()).collect();
                let kind = words.iter().position(|word| ["struct", "enum", "trait", "type"].contains(word));
                let name = kind.and_then(|kind| words.get(kind + 1)).filter(|_| kind < Some(5));
                if let Some(name) = name {
                    *places.entry((*name).to_owned()).or_default() += 1;
                }
            }
        }
    }
    let shared: Vec<&str> = places.iter().filter(|(_, count)| **count > 1).map(|(name, _)| &**name).collect();
    assert_eq!(shared, SHARED_NAMES);
}

#[test]
fn the_page_of_a_request_names_every_file_once() {
    let page = std::fs::read_to_string(root().join("docs/request.md")).expect("a page");
    let named: Vec<&str> = page.split('`').filter(|word| word.ends_with(".rs")).collect();
    let once: BTreeSet<&str> = named.iter().copied().collect();
    assert_eq!(named.len(), once.len(), "each once");
    let proxy = root().join("src/proxy");
    let is_told = |path: &PathBuf| {
        let inner = path.strip_prefix(&proxy).expect("inside").to_string_lossy().into_owned();
        !inner.starts_with("fuzzing") && !inner.ends_with("mod.rs") && !inner.ends_with("tests.rs")
    };
    let there: BTreeSet<String> = files(&proxy)
        .iter()
        .filter(|path| is_told(path))
        .map(|path| path.strip_prefix(&proxy).expect("inside").to_string_lossy().into_owned())
        .collect();
    let told: BTreeSet<String> = once.into_iter().map(str::to_owned).collect();
    assert_eq!(told, there);
}

#[test]
fn the_core_has_no_clock_no_randomness_and_no_io() {
    let files = files(&root().join("src/core")).into_iter();
    let is_test = |path: &PathBuf| {
        path.ends_with("simulation.rs")
            || path.ends_with("tests.rs")
            || path.iter().any(|part| part == "simulation")
    };
    for path in files.filter(|path| !is_test(path)) {
        let text = std::fs::read_to_string(&path).expect("a file");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for banned in
            ["Instant", "SystemTime", "rand::", "std::fs", "TcpStream", "tokio", "println!", "std::env"]
        {
            let used = code.lines().any(|line| line.contains(banned) && !line.trim_start().starts_with("//"));
            assert!(!used, "{} uses {banned}", path.display());
        }
    }
}

/// It is specified nowhere: these tell things apart within one process, and nothing durable or placed goes by it.
#[test]
fn stds_hasher_is_nowhere_where_it_would_be_missed() {
    let within_a_process = ["src/proxy/upstream/keyring.rs", "src/core/hash.rs"];
    for path in files(&root().join("src")) {
        let inner = path.strip_prefix(root()).expect("inside").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("a file");
        let is_used = text.contains("DefaultHasher") && !within_a_process.contains(&&*inner);
        assert!(!is_used, "{inner} uses DefaultHasher; take core::hash");
    }
}

#[test]
fn every_licence_is_allowed() {
    let output = std::process::Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--filter-platform",
            "x86_64-unknown-linux-gnu",
        ])
        .current_dir(root())
        .output()
        .expect("cargo");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let deny: toml::Table =
        std::fs::read_to_string(root().join("deny.toml")).expect("a file").parse().expect("TOML");
    let strings = |section: &str, key: &str| -> Vec<String> {
        let list = deny[section][key].as_array().expect("a list");
        list.iter().map(|item| item.as_str().expect("a text").to_owned()).collect()
    };
    let (allowed, banned) = (strings("licenses", "allow"), strings("bans", "deny"));
    let packages = metadata["packages"].as_array().expect("packages");
    assert!(packages.len() > 50);
    for package in packages {
        let name = package["name"].as_str().expect("a name");
        let licence = package["license"].as_str().unwrap_or("none");
        assert!(is_allowed(licence, &allowed), "{name}: {licence} is not in deny.toml");
        assert!(!banned.iter().any(|other| other == name), "{name} is banned in deny.toml");
    }
}

/// Else they would be built of other dependencies than what is shipped, and all of those once more.
#[test]
fn the_fuzz_targets_are_built_of_the_same_versions() {
    let locked = |file: &str| -> BTreeMap<String, Vec<String>> {
        let lock = std::fs::read_to_string(root().join(file)).expect("a lock");
        let lock: toml::Table = lock.parse().expect("TOML");
        let mut versions: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for package in lock["package"].as_array().expect("packages") {
            let text = |key: &str| package[key].as_str().expect("a text").to_owned();
            versions.entry(text("name")).or_default().push(text("version"));
        }
        versions
    };
    let (ours, fuzz) = (locked("Cargo.lock"), locked("fuzz/Cargo.lock"));
    let differs = |(name, versions): &(&String, &Vec<String>)| {
        ours.get(*name).is_some_and(|ours| versions.iter().any(|version| !ours.contains(version)))
    };
    let others: Vec<_> = fuzz.iter().filter(differs).collect();
    assert!(others.is_empty(), "{others:?}; run make lock-fuzz");
}

/// SPDX, as far as crates use it: `AND` binds closer than `OR`, and `/` is an old `OR`.
fn is_allowed(licence: &str, allowed: &[String]) -> bool {
    let plain = licence.replace(['(', ')'], "").replace('/', " OR ");
    let one = |name: &str| allowed.iter().any(|known| known == name.trim());
    plain.split(" OR ").any(|choice| choice.split(" AND ").all(one))
}

#[test]
fn licences_are_read_as_they_are_meant() {
    let allowed = ["MIT".to_owned(), "ISC".to_owned()];
    for (licence, fine) in [
        ("MIT", true),
        ("GPL-3.0 OR MIT", true),
        ("MIT AND GPL-3.0", false),
        ("Unlicense/MIT", true),
        ("none", false),
    ] {
        assert_eq!(is_allowed(licence, &allowed), fine, "{licence}");
    }
}
