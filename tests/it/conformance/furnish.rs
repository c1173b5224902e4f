//! What a configuration refers to: ports, files and certificates, in a directory of its own.

use super::origins::Reserved;
use crate::harness::{Authority, Printed};
use std::fs::{Permissions, create_dir_all, read_to_string, set_permissions, write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The names of listeners in a configuration.
pub(super) const LISTENERS: [&str; 3] = ["HTTP", "HTTP2", "HTTPS"];

const FILES: &[(&str, &str)] = &[
    ("index.html", "<p>index</p>"),
    ("robots.txt", "User-agent: *\n"),
    ("style.css", "p { color: red }"),
    ("50x.html", "<p>sorry</p>"),
    (".secret", "secret"),
    (".well-known/acme-challenge/token", "token.key"),
    ("sub/index.html", "<p>sub</p>"),
    ("sub/page.html", "<p>page</p>"),
    ("404.html", "<p>no such page</p>"),
    ("403.html", "<p>not for you</p>"),
    ("500.html", "<p>broken</p>"),
    ("maintenance.html", "<p>back soon</p>"),
    ("favicon.ico", "icon"),
    ("sw.js", "self.skipWaiting()"),
    ("manifest.json", "{}"),
    ("about.html", "<p>about</p>"),
    ("assets/app.js", "console.log(1)"),
    ("assets/app.css", "a { color: blue }"),
    ("assets/logo.svg", "<svg/>"),
    ("static/site.css", "b { color: green }"),
    ("static/site.js", "console.log(2)"),
    ("media/photo.jpg", "photo"),
    ("media/clip.mp4", "0123456789"),
    ("docs/index.htm", "<p>docs</p>"),
    ("docs/guide.html", "<p>guide</p>"),
    ("downloads/a.txt", "a"),
    ("downloads/b.zip", "zip"),
    ("downloads/sub/c.txt", "c"),
    ("protected/report.txt", "report"),
    ("tenants/acme/index.html", "<p>acme</p>"),
    ("tenants/beta/index.html", "<p>beta</p>"),
    ("en/index.html", "<p>hello</p>"),
    ("de/index.html", "<p>hallo</p>"),
    ("wp-config.php", "<?php secret"),
];

/// `eve` and `sha` have `secret`, `bob` has another.
const USERS: &str = "eve:$apr1$abcdefgh$h9FWgUz3n9YxylKLlR5SQ/\nsha:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\nbob:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/nginx")
}

pub(super) fn source(file: &str) -> String {
    read_to_string(folder().join(file)).expect("a configuration")
}

/// The configurations in a folder beside the others.
pub(super) fn listed(name: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder().join(name)).expect("a folder");
    let mut files: Vec<String> = entries
        .map(|entry| format!("{name}/{}", entry.expect("an entry").file_name().to_string_lossy()))
        .collect();
    files.sort();
    files
}

/// Addresses for the listeners of a configuration, which stay reserved.
pub(super) fn ports() -> Vec<Reserved> {
    LISTENERS.iter().map(|_| Reserved::new()).collect()
}

/// A directory with the configuration, its ports and origins filled in, and what it refers to.
pub(super) fn prepare(
    file: &str,
    marks: &[(&str, String)],
    ports: &[SocketAddr],
    certificates: &[(String, String, String)],
) -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let here = dir.path();
    let source = folder();
    let fill = |from: &Path, to: &Path| {
        let mut text = read_to_string(from).expect("a configuration");
        for (name, address) in LISTENERS.iter().zip(ports) {
            text = text.replace(&format!("@{name}@"), &address.port().to_string());
        }
        for (name, value) in marks {
            text = text.replace(&format!("@{name}@"), value);
        }
        text = text.replace("@DIR@", &here.display().to_string()).replace("@MIME@", "/etc/nginx/mime.types");
        write(to, text).expect("a file");
    };
    fill(&source.join(file), &here.join("nginx.conf"));
    create_dir_all(here.join("sites")).expect("a directory");
    for entry in std::fs::read_dir(source.join("sites")).expect("a directory") {
        let path = entry.expect("an entry").path();
        fill(&path, &here.join("sites").join(path.file_name().expect("a name")));
    }
    furnish(here);
    for (name, certificate, key) in certificates {
        write(here.join(format!("{name}.pem")), certificate).expect("a file");
        write(here.join(format!("{name}.key")), key).expect("a file");
    }
    dir
}

/// The files. nginx's workers run as another user.
fn furnish(here: &Path) {
    let www = here.join("www");
    for (name, text) in FILES {
        let file = www.join(name);
        create_dir_all(file.parent().expect("a folder")).expect("a directory");
        write(file, text).expect("a file");
    }
    write(www.join("large.bin"), vec![b'x'; 100_000]).expect("a file");
    write(www.join("assets/large.css"), "a { color: blue }\n".repeat(100)).expect("a file");
    write(here.join("users"), USERS).expect("a file");
    // Both servers list a folder with its times.
    for entry in ["downloads/a.txt", "downloads/b.zip", "downloads/sub/c.txt"] {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
        let file = std::fs::File::options().write(true).open(www.join(entry)).expect("a file");
        file.set_modified(time).expect("a time");
    }
    set_permissions(here, Permissions::from_mode(0o755)).expect("permissions");
}

/// The names of the certificates that a configuration asks for, each good for all the hosts.
pub(super) fn certificates(
    file: &str,
    hosts: &[&str],
    authority: &Authority,
) -> Vec<(String, String, String)> {
    let mut made: Vec<(String, String, String)> = Vec::new();
    for word in source(file).split_whitespace() {
        let Some(name) = word.trim_end_matches(';').strip_suffix(".pem") else { continue };
        let name = name.trim_start_matches("@DIR@/");
        if name.contains(['/', '@']) || made.iter().any(|(known, ..)| known == name) {
            continue;
        }
        let names: Vec<&str> = std::iter::once(name).chain(hosts.iter().copied()).collect();
        let (certificate, key) = authority.issue(&names);
        made.push((name.to_owned(), certificate, key));
    }
    made
}

/// Imports with the binary; the result passes `check`. `--strict`: nothing may be missing.
pub(super) fn import(here: &Path, is_strict: bool) -> Result<(), String> {
    let mut words = vec!["import", "nginx", "nginx.conf"];
    words.extend(is_strict.then_some("--strict"));
    let imported = Printed::of(&words, here);
    if imported.code != 0 {
        let missing = imported.err.lines().filter(|line| line.contains("not carried over: "));
        return Err(missing.collect::<Vec<_>>().join("\n    "));
    }
    let toml = imported.out.replace("/var/lib/pointsman", "state").replace("127.0.0.1:9900", "127.0.0.1:0");
    write(here.join("pointsman.toml"), toml.replace("threads = 0", "threads = 1")).expect("a file");
    write(here.join("report.txt"), &imported.err).expect("a file");
    let checked = Printed::of(&["check", "--config", "pointsman.toml"], here);
    if checked.code == 0 { Ok(()) } else { Err(format!("{}\n{toml}", checked.err)) }
}
