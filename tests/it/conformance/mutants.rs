//! What nginx takes, the import takes, and `check` takes what it makes of it: for the configurations in the manner of
//! real ones with some words and lines changed. `POINTSMAN_SEED` tries others.

use super::furnish::{LISTENERS, certificates, import, listed, ports, prepare, source};
use super::origins::Origins;
use crate::harness::{Authority, Draw};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

/// How many are made.
const MUTANTS: usize = 120;

#[test]
fn what_nginx_takes_is_imported_to_what_check_takes() {
    let seed = std::env::var("POINTSMAN_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(17);
    let mut draw = Draw(seed);
    let origins = Origins::start();
    let authority = Authority::new();
    let reserved = ports();
    assert_eq!(reserved.len(), LISTENERS.len());
    let addresses: Vec<SocketAddr> = reserved.iter().map(|port| port.address).collect();
    let files: Vec<String> =
        listed("fronts").into_iter().filter(|file| !source(file).contains("@TLS@")).collect();
    let (mut taken, mut refused) = (0, Vec::new());
    for _ in 0..MUTANTS {
        let file = &files[draw.below(files.len())];
        let certificates = certificates(file, &[], &authority);
        let dir = prepare(file, &origins.marks(), &addresses, &certificates);
        let path = dir.path().join("nginx.conf");
        let text = mutated(&std::fs::read_to_string(&path).expect("a file"), &mut draw);
        std::fs::write(&path, &text).expect("a file");
        if !is_taken(dir.path()) {
            continue;
        }
        taken += 1;
        if let Err(why) = import(dir.path(), false) {
            refused.push(format!("{file}: {why}\n{text}"));
        }
    }
    println!(
        "mutants: of {MUTANTS} nginx takes {taken}, of which the import or check refuses {}",
        refused.len()
    );
    assert!(taken > MUTANTS / 8, "nginx takes too few");
    assert!(refused.is_empty(), "{}", refused.join("\n\n"));
}

/// One to three changes.
fn mutated(text: &str, draw: &mut Draw) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    for _ in 0..1 + draw.below(3) {
        let at = draw.below(lines.len());
        match draw.below(4) {
            0 => drop(lines.remove(at)),
            1 => lines.insert(at, lines[draw.below(lines.len())].clone()),
            2 => {
                let other = draw.below(lines.len());
                lines.swap(at, other);
            }
            _ => {
                let mut of_line: Vec<&str> = lines[at].split(' ').collect();
                let word = draw.below(of_line.len());
                let end = if of_line[word].ends_with(';') { ";" } else { "" };
                let other = words[draw.below(words.len())].trim_end_matches(';').to_owned() + end;
                of_line[word] = &other;
                lines[at] = of_line.join(" ");
            }
        }
    }
    lines.join("\n")
}

/// Whether `nginx -t` takes a configuration.
fn is_taken(dir: &Path) -> bool {
    let here = dir.display().to_string();
    let mut nginx = Command::new("nginx");
    nginx.args([
        "-t",
        "-q",
        "-e",
        &format!("{here}/error.log"),
        "-p",
        &here,
        "-c",
        &format!("{here}/nginx.conf"),
    ]);
    nginx.args(["-g", &format!("pid {here}/pid;")]);
    nginx
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("nginx is installed: make setup-test")
        .success()
}
