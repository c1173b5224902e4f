//! What is typed before any service is asked for: help, completion, manual pages, and where the admin API is.

use super::harness::{Nginx, Pointsman, Printed};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

const BINARY: &str = env!("CARGO_BIN_EXE_pointsman");

fn started() -> (Nginx, Pointsman) {
    let nginx = Nginx::start(&["blue", "green"]);
    let config = format!(
        "[services.web]\nstable = \"blue\"\n[services.web.pools.blue]\nupstreams = [\"{}\"]\n\
         [services.web.pools.green]\nupstreams = [\"{}\"]\n[services.api]\nstable = \"only\"\n\
         [services.api.pools.only]\nupstreams = [\"{}\"]\n[[sets]]\nname = \"site\"\nservices = [\"web\", \"api\"]\n",
        nginx.addresses[0], nginx.addresses[1], nginx.addresses[1]
    );
    (nginx, Pointsman::start(&config))
}

/// What bash offers for a line that ends here.
fn offered(admin: SocketAddr, line: &[&str]) -> Vec<String> {
    let bin = Path::new(BINARY).parent().expect("a directory").display().to_string();
    let words: Vec<_> = line.iter().map(|word| format!("'{word}'")).collect();
    let script = format!(
        "source <(pointsman completions bash); COMP_WORDS=({}); COMP_CWORD={}; COMP_TYPE=9\n\
         compopt() {{ :; }}\n_clap_complete_pointsman pointsman '{}' ''; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.join(" "),
        line.len() - 1,
        line[line.len() - 1],
    );
    let output = Command::new("bash")
        .args(["-c", &script])
        .env("PATH", format!("{bin}:{}", std::env::var("PATH").expect("a path")))
        .env("POINTSMAN_ADMIN", format!("http://{admin}"))
        .output()
        .expect("bash");
    let mut words: Vec<_> =
        String::from_utf8_lossy(&output.stdout).lines().map(|l| l.trim().to_owned()).collect();
    words.retain(|word| !word.is_empty() && !word.starts_with('-'));
    words.sort();
    words
}

#[test]
fn a_shell_completes_commands_services_pools_and_upstreams() {
    let (nginx, pointsman) = started();
    let admin = pointsman.admin;
    assert_eq!(offered(admin, &["pointsman", "rollo"]), ["rollout"]);
    assert_eq!(offered(admin, &["pointsman", "flip", ""]), ["api", "web"]);
    assert_eq!(offered(admin, &["pointsman", "status", ""]), ["api", "site", "web"]);
    assert_eq!(offered(admin, &["pointsman", "flip", "web", "--to", ""]), ["blue", "green"]);
    assert_eq!(offered(admin, &["pointsman", "flip", "api", "--to", ""]), ["only"]);
    assert_eq!(offered(admin, &["pointsman", "rollout", "start", "web", "--to", "i"]), ["idle"]);
    assert_eq!(offered(admin, &["pointsman", "weights", "web", "g"]), ["green="]);
    let address = nginx.addresses[0].to_string();
    assert_eq!(offered(admin, &["pointsman", "drain", "web", "blue", ""]), [address]);
}

#[test]
fn completion_without_an_answer_is_that_of_the_commands() {
    // Nobody listens there.
    let admin = SocketAddr::from(([127, 0, 0, 1], 1));
    assert_eq!(offered(admin, &["pointsman", "flip", ""]), [""; 0]);
    assert_eq!(offered(admin, &["pointsman", "rollo"]), ["rollout"]);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = Printed::of(&["completions", shell], Path::new("/"));
        assert!(script.code == 0 && script.out.contains("POINTSMAN_COMPLETE"), "{shell}: {}", script.err);
    }
}

#[test]
fn the_admin_api_is_found_where_the_configuration_has_it() {
    let (_nginx, pointsman) = started();
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("pointsman.toml");
    let ask = |args: &[&str]| {
        let mut command = Command::new(BINARY);
        command.args(args).env_remove("POINTSMAN_ADMIN").env("POINTSMAN_CONFIG", &file);
        let output = command.output().expect("the binary");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    std::fs::write(&file, format!("[admin]\nlisten = \"{}\"\n", pointsman.admin)).expect("a file");
    assert_eq!(ask(&["status", "web"]).0, Some(0));
    std::fs::write(&file, "[admin]\nlisten = \"127.0.0.1:1\"\n").expect("a file");
    let (code, error) = ask(&["status", "web"]);
    assert!(code == Some(1) && error.contains(&format!("as {} has it", file.display())), "{error}");
    let there = format!("http://{}", pointsman.admin);
    assert_eq!(ask(&["status", "web", "--admin", &there]).0, Some(0), "what is typed wins");
}

#[test]
fn a_flag_that_would_do_nothing_is_refused() {
    for (args, flag) in [
        (&["run", "--admin", "http://127.0.0.1:1"][..], "--admin"),
        (&["man", "--output", "json"][..], "--output"),
        (&["--token", "x", "check"][..], "--token"),
    ] {
        let printed = Printed::of(args, Path::new("/"));
        assert!(printed.code == 2 && printed.err.contains(flag), "{args:?}: {}", printed.err);
    }
}

#[test]
fn manual_pages_are_written_one_a_command() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = dir.path().join("man");
    let printed = Printed::of(&["man", "--dir", &at.display().to_string()], Path::new("/"));
    assert_eq!(printed.code, 0, "{}", printed.err);
    let read = |name: &str| std::fs::read_to_string(at.join(name)).expect(name);
    assert!(read("pointsman.1").contains(".TH"));
    assert!(read("pointsman-status.1").contains("watch"));
    assert!(read("pointsman-rollout-start.1").contains("ADMIN API"));
    assert!(!read("pointsman-run.1").contains("ADMIN API"));
    let page = Printed::of(&["man", "rollout", "start"], Path::new("/"));
    assert_eq!(page.out, read("pointsman-rollout-start.1"));
    assert!(Printed::of(&["man", "nothing"], Path::new("/")).err.contains("no command"));
    // As the program reads them that shows them.
    let Ok(lint) = Command::new("man").args(["--warnings", "-l"]).arg(at.join("pointsman.1")).output() else {
        println!("no man here: pages are not read by it");
        return;
    };
    assert!(lint.stderr.is_empty(), "{}", String::from_utf8_lossy(&lint.stderr));
}

#[test]
fn colours_are_a_terminals_and_off_where_nobody_wants_them() {
    let (_nginx, pointsman) = started();
    const GREEN: &str = "\x1b[32m✓";
    assert!(pointsman.on_terminal(80, "status").contains(GREEN));
    assert!(!pointsman.cli(&["status"]).out.contains('\x1b'), "no terminal");
    let command = format!("NO_COLOR=1 exec {BINARY} --admin http://{} status", pointsman.admin);
    let plain = Command::new("script").args(["-qec", &command, "/dev/null"]).output().expect("script");
    assert!(!String::from_utf8_lossy(&plain.stdout).contains(GREEN));
}
