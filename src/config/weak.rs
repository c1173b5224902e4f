//! What a configuration allows and hardly anybody means: warnings, each with its place and what to do.
//!
//! They stop nothing. What can never be meant is a fault, where it is read.

use super::reader::{Item, Section};
use crate::core::settings::Config;
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Words that are tried first, in any case, alone or with a few digits.
const WORDS: [&str; 40] = [
    "password",
    "passwd",
    "pass",
    "secret",
    "token",
    "admin",
    "administrator",
    "root",
    "test",
    "testing",
    "changeme",
    "change-me",
    "default",
    "demo",
    "example",
    "guest",
    "letmein",
    "welcome",
    "qwerty",
    "abc",
    "abc123",
    "hello",
    "foo",
    "bar",
    "foobar",
    "deploy",
    "ci",
    "dev",
    "prod",
    "production",
    "staging",
    "pointsman",
    "master",
    "monkey",
    "dragon",
    "iloveyou",
    "secret-token",
    "my-token",
    "mytoken",
    "null",
];
const ENDINGS: [&str; 7] = ["", "1", "12", "123", "1234", "!", "2026"];

/// Tokens of fewer characters can be guessed.
pub(super) const SHORT: usize = 16;

/// Looks through a sound configuration.
pub(super) fn look(root: &Section<'_>, config: &Config) {
    admin(root, config);
    proxies(root);
    files(root, config);
    secret_files(root);
}

fn admin(root: &Section<'_>, config: &Config) {
    let section = root.section("admin");
    let is_local = config.admin.listen.ip().is_loopback();
    if let Some(item) = section.item("listen").filter(|_| !is_local) {
        if config.admin.tls.is_none() {
            item.warn("tokens cross the network in the clear; add admin.tls, or listen on 127.0.0.1");
        } else if config.admin.tokens.is_empty() {
            item.warn(
                "whoever has a certificate of client_ca may do everything, since there are no tokens; add \
                 admin.tokens to tell them apart",
            );
        }
    }
    let guessable = guessable();
    for (index, item) in section.item("tokens").and_then(|item| item.array()).iter().flatten().enumerate() {
        let Some(token) = config.admin.tokens.get(index) else { continue };
        if guessable.contains(&token.sha256) {
            item.warn(
                "this token is a common word or very short; `pointsman token new` makes one that is not",
            );
        }
        let before = config.admin.tokens.get(..index).unwrap_or_default();
        if before.iter().any(|other| other.name == token.name) {
            item.warn(&format!("the name {} stands twice: the history cannot tell them apart", token.name));
        }
    }
}

/// Hashes of what is tried first: single characters, numbers of up to three digits, common words.
fn guessable() -> Vec<[u8; 32]> {
    let singles = (0x20..0x7F).map(|byte: u8| char::from(byte).to_string());
    let numbers = (0..1000).flat_map(|n: u32| [format!("{n}"), format!("{n:03}")]);
    let runs = ["1234", "12345", "123456", "1234567", "12345678", "123456789", "0000", "1111"];
    let words = WORDS.iter().flat_map(|word| {
        let capital = word.chars().take(1).flat_map(char::to_uppercase).chain(word.chars().skip(1));
        let capital: String = capital.collect();
        [(*word).to_owned(), capital, word.to_uppercase()]
    });
    let words = words.flat_map(|word| ENDINGS.map(|ending| format!("{word}{ending}")));
    let all = singles.chain(numbers).chain(runs.map(str::to_owned)).chain(words);
    all.map(|word| Sha256::digest(word).into()).collect()
}

fn proxies(root: &Section<'_>) {
    for listener in root.tables("listeners") {
        for item in listener.item("trusted_proxies").and_then(|item| item.array()).iter().flatten() {
            let network = item.quiet().and_then(|text| text.parse::<ipnet::IpNet>().ok());
            if network.is_some_and(|network| is_everybody(&network)) {
                item.warn(
                    "everybody is trusted: any client can name any address as its own; name the balancers in front",
                );
            }
        }
    }
}

fn is_everybody(network: &ipnet::IpNet) -> bool {
    let most = match network.addr() {
        IpAddr::V4(_) => 1,
        IpAddr::V6(_) => 3,
    };
    network.prefix_len() <= most
}

fn files(root: &Section<'_>, config: &Config) {
    let state = real(&config.server.state_dir);
    let own = real(root.base());
    for route in root.tables("routes") {
        let served = route.section("files");
        let Some(item) = served.item("root") else { continue };
        let Some(folder) = item.quiet().map(|text| real(&root.base().join(text))) else { continue };
        if folder == Path::new("/") {
            item.warn("the whole file system of this machine is served; name the site's folder");
        } else if state.starts_with(&folder) {
            item.warn(
                "the state directory lies in this folder: its secret and state are served; move one of them",
            );
        } else if own.starts_with(&folder) {
            item.warn(
                "this configuration lies in this folder and is served, with what it holds; move one of them",
            );
        }
    }
}

/// Where a path leads, as far as it exists.
fn real(path: &Path) -> PathBuf {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for ancestor in whole.ancestors() {
        if let Ok(real) = std::fs::canonicalize(ancestor) {
            return match whole.strip_prefix(ancestor) {
                Ok(rest) => real.join(rest),
                Err(_) => real,
            };
        }
    }
    whole
}

/// Keys and tokens in files that everybody on the machine can read.
fn secret_files(root: &Section<'_>) {
    let admin = root.section("admin");
    for token in admin.tables("tokens") {
        open_to_all(token.item("file"));
    }
    let fleet = root.section("fleet");
    open_to_all(fleet.section("secret").item("file"));
    open_to_all(fleet.section("etcd").item("key"));
    let mut tls = vec![admin.section("tls")];
    tls.extend(root.tables("listeners").iter().filter_map(|listener| listener.item("tls")?.table()));
    for tls in tls.iter().filter(|tls| tls.exists()) {
        for certificate in tls.tables("certificates") {
            open_to_all(certificate.item("key"));
        }
    }
    for (_, service) in root.section("services").entries() {
        let Some(service) = service.table() else { continue };
        for (_, pool) in service.section("pools").entries() {
            let tls = pool.table().and_then(|pool| pool.item("tls")?.table());
            open_to_all(tls.and_then(|tls| tls.item("client")?.table()?.item("key")));
        }
    }
}

fn open_to_all(item: Option<Item<'_>>) {
    let Some((item, path)) = item.and_then(|item| Some((item.clone(), item.quiet()?))) else { return };
    let path = item.base().join(path);
    let Ok(found) = std::fs::metadata(&path) else { return };
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o004 != 0 {
        item.warn(&format!("{} can be read by everybody here (mode {mode:o}); chmod 600 it", path.display()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tried_first_is_known() {
        let known = guessable();
        for word in ["a", "7", "999", "1234", "password", "Password1", "ADMIN", "test", "changeme!"] {
            assert!(known.contains(&Sha256::digest(word).into()), "{word}");
        }
        let strong: [u8; 32] = Sha256::digest("pm_4c1f6b2a9d").into();
        assert!(!known.contains(&strong));
    }

    #[test]
    fn everybody_by_halves_is_everybody() {
        for (network, all) in [
            ("0.0.0.0/0", true),
            ("128.0.0.0/1", true),
            ("::/0", true),
            ("2000::/3", true),
            ("10.0.0.0/8", false),
        ] {
            assert_eq!(is_everybody(&network.parse().expect("a network")), all, "{network}");
        }
    }
}
