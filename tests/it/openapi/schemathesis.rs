//! schemathesis reads the description and sends what it allows and what it forbids: no answer may be an error of the
//! server, or one that the description does not name.

use super::start;
use crate::harness::Nginx;
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use std::process::Command;

const SECONDS: &str = "180";

/// What a schema cannot say (weights that sum to 100, a pool that there is) is refused all the same; a revision that is
/// another one is a refusal, too.
const SETTINGS: &str = r#"
headers = { Authorization = "Bearer secret-root" }
[parameters]
"query.wait" = "1ms"
[checks.positive_data_acceptance]
expected-statuses = ["2xx", 401, 403, 404, 409, 412, 422]
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 412, 415, 422]
"#;

/// Where `make setup-test` installs it.
fn program() -> Option<PathBuf> {
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_owned());
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    Some(root.join(target).join("tools/schemathesis/bin/schemathesis")).filter(|program| program.exists())
}

#[test]
fn what_schemathesis_sends_is_answered_as_described() {
    let Some(program) = program() else {
        return println!("schemathesis is not installed (make setup-test): its test is left out");
    };
    let nginx = Nginx::start(&["blue", "green"]);
    let hash: String = Sha256::digest("secret-root").iter().map(|byte| format!("{byte:02x}")).collect();
    let token = format!("tokens = [{{ name = \"root\", role = \"admin\", sha256 = \"{hash}\" }}]");
    let pointsman = start(&nginx, &format!("[admin]\nlisten = \"127.0.0.1:0\"\n{token}\n"));
    let dir = pointsman.dir.path();
    std::fs::write(dir.join("schemathesis.toml"), SETTINGS).expect("a file");
    let at = format!("http://{}", pointsman.admin);
    // An upgrade replaces the process, and a stream of events does not end.
    let output = Command::new("timeout")
        .arg(SECONDS)
        .arg(program)
        .args(["run", &format!("{at}/openapi.json"), "--url", &at, "--checks", "all"])
        .args(["--exclude-path", "/v1/upgrade", "--exclude-path", "/v1/events"])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", "6", "--workers", "2"])
        .args(["--seed", "15", "--generation-deterministic", "--request-timeout", "10"])
        .args(["--warnings", "off", "--no-color"])
        .current_dir(dir)
        .output()
        .expect("a program");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("Tested: "), "{text}");
    assert_eq!(pointsman.get("/healthz").status, 200);
}
