//! Tokens for the admin API.

use super::Done;
use super::args::Token;
use super::client::Failure;
use super::out::Out;
use serde::Serialize;
use sha2::{Digest, Sha256};

#[derive(Serialize)]
struct NewToken<'a> {
    token: String,
    name: &'a str,
    role: &'a str,
    sha256: String,
}

pub(super) fn run(action: &Token, out: &Out) -> Result<Done, Failure> {
    let Token::New { name, role } = action;
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte));
    if name.is_empty() || !plain {
        return Err(Failure::Other(format!("the name {name:?} may have letters, digits and -_.@ only")));
    }
    let secret: [u8; 32] = rand::random();
    let token = format!("pm_{}", hex(&secret));
    let sha256 = hex(&Sha256::digest(token.as_bytes()));
    out.show(&NewToken { token, name, role, sha256 }, |new| {
        format!(
            "token, shown only now:\n  {}\n\nfor the configuration, in admin.tokens:\n  {{ name = \"{}\", role = \"{}\", sha256 = \"{}\" }}",
            new.token, new.name, new.role, new.sha256
        )
    });
    Ok(Done::Well)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
