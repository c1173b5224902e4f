//! The names and passwords of a file as `htpasswd` writes it: `name:hash`, a line each.
//!
//! Passwords are verified by what stands before their hash: bcrypt (`$2y$`, `$2b$`, `$2a$`), apr1 and MD5-crypt
//! (`$apr1$`, `$1$`), SHA-crypt (`$5$`, `$6$`), `{SHA}`, `{SSHA}` and `{PLAIN}`. DES-crypt is refused: it looks at eight
//! letters of a password. A hash that takes seconds is refused, too, since anybody can have it computed.

mod md5_crypt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha_crypt::{PasswordVerifier, ShaCrypt};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::str::FromStr;
use subtle::ConstantTimeEq;

/// The largest cost of bcrypt: about a second.
const MOST_BCRYPT_COST: u32 = 14;
/// The most rounds of SHA-crypt, and the fewest that it has.
const SHA_CRYPT_ROUNDS: std::ops::RangeInclusive<u32> = 1_000..=1_000_000;
/// Longer passwords are nobody's: some schemes take a time that grows with them.
const LONGEST_PASSWORD: usize = 512;
const SHA1_BYTES: usize = 20;

/// Names with the hashes of their passwords; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Htpasswd(BTreeMap<Box<str>, PasswordHash>);

/// The hash of one password, as it is written.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    text: Box<str>,
    scheme: HashScheme,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HashScheme {
    Bcrypt,
    /// Of this magic.
    Md5(&'static str),
    ShaCrypt,
    /// `{SHA}`, `{SSHA}`.
    Sha,
    Plain,
}

/// What is wrong with a line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// From 1.
    pub line: usize,
    /// With the remedy, and without the hash.
    pub detail: String,
}

impl Htpasswd {
    /// Reads a file's text. Empty lines and those that begin with `#` say nothing, and neither does what follows a
    /// second colon.
    ///
    /// # Errors
    /// All lines that are wrong.
    pub fn parse(text: &str) -> Result<Htpasswd, Vec<BadLine>> {
        let (mut users, mut bad) = (BTreeMap::new(), Vec::new());
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let read = user(line).and_then(|(name, hash)| match users.insert(Box::from(name), hash) {
                None => Ok(()),
                Some(_) => Err(format!("{name} stands twice; take one of the lines out")),
            });
            bad.extend(read.err().map(|detail| BadLine { line: index + 1, detail }));
        }
        if users.is_empty() && bad.is_empty() {
            let detail = "has no user, so that nobody could come in; `htpasswd -B FILE NAME` adds one";
            bad.push(BadLine { line: 1, detail: detail.to_owned() });
        }
        if bad.is_empty() { Ok(Htpasswd(users)) } else { Err(bad) }
    }

    pub fn hash_of(&self, name: &str) -> Option<&PasswordHash> {
        self.0.get(name)
    }

    /// The names whose passwords stand there in the clear.
    pub fn in_the_clear(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, hash)| hash.scheme == HashScheme::Plain).map(|(name, _)| &**name)
    }

    /// Whether it is the password of that name. It takes as long for a name that is not there, so that nobody learns
    /// which are.
    pub fn verify(&self, name: &str, password: &[u8]) -> bool {
        let hash = self.hash_of(name);
        let is_right = hash.or(self.0.values().next()).is_some_and(|hash| hash.verify(password));
        is_right && hash.is_some()
    }
}

fn user(line: &str) -> Result<(&str, PasswordHash), String> {
    let (name, rest) = line.split_once(':').ok_or("is no name:hash; `htpasswd -nB NAME` prints one")?;
    if name.is_empty() {
        return Err("has no name before its colon; `htpasswd -nB NAME` prints a whole line".to_owned());
    }
    // A password in the clear ends with its line.
    let hash = if rest.starts_with("{PLAIN}") { rest } else { rest.split(':').next().unwrap_or_default() };
    PasswordHash::parse(hash.trim_end()).map(|hash| (name, hash))
}

impl PasswordHash {
    fn parse(text: &str) -> Result<PasswordHash, String> {
        let is = |magic: &str| text.starts_with(magic);
        let scheme = if ["$2y$", "$2b$", "$2a$"].into_iter().any(is) {
            bcrypt_is_sound(text)?;
            HashScheme::Bcrypt
        } else if let Some(magic) = md5_crypt::MAGICS.into_iter().find(|magic| is(magic)) {
            md5_crypt::parts(text, magic)
                .ok_or("has a hash that is cut short; write the line again with `htpasswd -B`")?;
            HashScheme::Md5(magic)
        } else if is("$5$") || is("$6$") {
            sha_crypt_is_sound(text)?;
            HashScheme::ShaCrypt
        } else if is("{SHA}") || is("{SSHA}") {
            sha(text).ok_or("has a hash that is cut short; write the line again with `htpasswd -B`")?;
            HashScheme::Sha
        } else if is("{PLAIN}") {
            HashScheme::Plain
        } else {
            return Err(unknown(text));
        };
        Ok(PasswordHash { text: text.into(), scheme })
    }

    /// As it is written.
    pub fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// Whether it is the hash of a password.
    pub fn verify(&self, password: &[u8]) -> bool {
        if password.len() > LONGEST_PASSWORD {
            return false;
        }
        match self.scheme {
            HashScheme::Bcrypt => bcrypt::verify(password, &self.text).unwrap_or(false),
            HashScheme::Md5(magic) => md5_crypt::parts(&self.text, magic).is_some_and(|(salt, digest)| {
                let made = md5_crypt::digest(password, magic.as_bytes(), salt.as_bytes());
                made.ct_eq(digest.as_bytes()).into()
            }),
            HashScheme::ShaCrypt => ShaCrypt::default().verify_password(password, &*self.text).is_ok(),
            HashScheme::Sha => sha(&self.text).is_some_and(|(digest, salt)| {
                let made = Sha1::new().chain_update(password).chain_update(salt).finalize();
                made.as_slice().ct_eq(&digest).into()
            }),
            HashScheme::Plain => {
                let plain = self.text.strip_prefix("{PLAIN}").unwrap_or_default();
                // Digests have one length, whatever is compared.
                Sha256::digest(plain).as_slice().ct_eq(Sha256::digest(password).as_slice()).into()
            }
        }
    }
}

/// Without the hash, which is a secret.
impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PasswordHash({:?})", self.scheme)
    }
}

fn bcrypt_is_sound(text: &str) -> Result<(), String> {
    let parts = bcrypt::HashParts::from_str(text)
        .map_err(|_| "has a hash that is cut short; write the line again with `htpasswd -B`")?;
    match parts.get_cost() {
        cost if cost > MOST_BCRYPT_COST => Err(format!(
            "has a bcrypt cost of {cost}, which takes seconds for each password that anybody tries; write the line \
             again with `htpasswd -B -C 12`"
        )),
        4.. => Ok(()),
        _ => Err("has a bcrypt cost below 4; write the line again with `htpasswd -B`".to_owned()),
    }
}

fn sha_crypt_is_sound(text: &str) -> Result<(), String> {
    let mut fields = text.split('$').skip(2).peekable();
    if let Some(rounds) = fields.peek().and_then(|field| field.strip_prefix("rounds=")) {
        if !rounds.parse().is_ok_and(|rounds| SHA_CRYPT_ROUNDS.contains(&rounds)) {
            return Err(format!(
                "has rounds of SHA-crypt that are not from {} to {}; write the line again with `openssl passwd -6`",
                SHA_CRYPT_ROUNDS.start(),
                SHA_CRYPT_ROUNDS.end()
            ));
        }
        fields.next();
    }
    let length = if text.starts_with("$5$") { 43 } else { 86 };
    let legal = |c: char| c.is_ascii_alphanumeric() || "./".contains(c);
    let is_sound = fields.next().is_some_and(|salt| !salt.is_empty() && salt.len() <= 16)
        && fields.next().is_some_and(|hash| hash.len() == length && hash.chars().all(legal))
        && fields.next().is_none();
    is_sound.then_some(()).ok_or_else(|| {
        "has a hash that is cut short; write the line again with `openssl passwd -6`".to_owned()
    })
}

/// The digest and the salt of `{SHA}` and `{SSHA}`.
fn sha(text: &str) -> Option<([u8; SHA1_BYTES], Vec<u8>)> {
    let (is_salted, written) = match text.strip_prefix("{SSHA}") {
        Some(written) => (true, written),
        None => (false, text.strip_prefix("{SHA}")?),
    };
    let bytes = STANDARD.decode(written).ok()?;
    let (digest, salt) = bytes.split_first_chunk()?;
    (is_salted != salt.is_empty()).then(|| (*digest, salt.to_vec()))
}

fn unknown(text: &str) -> String {
    let what = match text.strip_prefix('$').and_then(|rest| rest.split('$').next()) {
        Some(scheme) if scheme.len() < 12 => format!("has a hash by ${scheme}$, which is not known here"),
        None if text.len() == 13 => "has a hash by DES-crypt, which looks at eight letters only".to_owned(),
        _ => "has no hash that is known".to_owned(),
    };
    format!("{what}; write the line again with `htpasswd -B` ($2y$), or `openssl passwd -apr1` ($apr1$)")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the password `secret`: by `htpasswd`, `openssl passwd` and `mkpasswd`.
    const HASHES: [&str; 9] = [
        "$apr1$abcdefgh$h9FWgUz3n9YxylKLlR5SQ/",
        "$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1",
        "$5$abcdefgh$gruCpC7VkOTspMQTTSAR8mtlO9Upms.fwqE5y16JVM.",
        "$6$abcdefgh$ltjgWl6579NluT/Vi1nwEvcil.G5Nbc4NiXZaNGStk8PSwGfQv72N2CKPPrVACtLtip/cZ/1GM/O6IND4WQhG.",
        "$5$rounds=1500$abcdefgh$qXUmNmbLEOn5YPWvewYoPCAAHp5vzLn73xcpCUC256C",
        "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
        "{SSHA}gVK8WC9YyFT1gMsQHTGCgT3sSv5zYWx0",
        "{PLAIN}secret",
        "$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a",
    ];

    #[test]
    fn every_scheme_knows_its_password_and_no_other() {
        for text in HASHES {
            let hash = PasswordHash::parse(text).expect(text);
            assert!(hash.verify(b"secret"), "{text}");
            for wrong in [&b""[..], b"Secret", b"secret ", &[b's'; 600]] {
                assert!(!hash.verify(wrong), "{text}");
            }
            assert!(!format!("{hash:?}").contains("secret"));
        }
    }

    #[test]
    fn a_file_has_names_comments_and_a_line_each() {
        let text = format!("# people\n\nana:{}\r\nbo:{}:a comment\nc:{{PLAIN}}a:b \n", HASHES[0], HASHES[5]);
        let users = Htpasswd::parse(&text).expect("read");
        assert!(users.verify("ana", b"secret") && users.verify("bo", b"secret") && users.verify("c", b"a:b"));
        assert!(!users.verify("ana", b"a:b") && !users.verify("nobody", b"secret"));
        assert_eq!(users.in_the_clear().collect::<Vec<_>>(), ["c"]);
    }

    #[test]
    fn faults_name_the_line_and_the_remedy_and_never_the_hash() {
        let costly = format!("$2y$15${}", &HASHES[8][7..]);
        for (line, expected) in [
            ("ana", "is no name:hash"),
            (":x", "has no name"),
            ("ana:rl0uE6Wk1iO6g", "DES-crypt, which looks at eight letters only; write the line again"),
            ("ana:$y$j9T$abc", "has a hash by $y$, which is not known here"),
            ("ana:secret", "has no hash that is known"),
            ("ana:", "has no hash that is known"),
            (&*format!("ana:{costly}"), "has a bcrypt cost of 15, which takes seconds"),
            ("ana:$2y$05$abc", "cut short"),
            ("ana:$apr1$abc", "cut short"),
            ("ana:{SHA}abc", "cut short"),
            ("ana:$6$rounds=999999999$ab$c", "not from 1000 to 1000000"),
            ("ana:$6$ab$c", "cut short"),
        ] {
            let bad = Htpasswd::parse(&format!("# x\n{line}\n")).expect_err(line);
            assert!(bad[0].line == 2 && bad[0].detail.contains(expected), "{line}: {bad:?}");
            assert!(!bad[0].detail.contains("secret"));
        }
        let twice = format!("ana:{0}\nana:{0}\nbo\n", HASHES[0]);
        let bad = Htpasswd::parse(&twice).expect_err("twice");
        assert_eq!(bad.iter().map(|bad| bad.line).collect::<Vec<_>>(), [2, 3]);
        assert!(Htpasswd::parse("# nobody\n").expect_err("empty")[0].detail.contains("has no user"));
    }
}
