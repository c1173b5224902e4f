//! What other repositories and machines take as it is: the Action by its tag, GitLab's template, a deploy key's command.

use super::super::harness::{Load, Nginx, Origin, Pointsman, Reaction, run};
use super::{SHORT, admin, config, shipped};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_pointsman");

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).expect("a file")
}

/// `uses: OWNER/pointsman@v1` takes the file at the root, `uses: ./.github/actions/pointsman` the folder.
#[test]
fn the_action_is_the_same_by_its_tag_and_as_a_copy() {
    let without_head = |text: String| {
        let lines = text.lines().skip_while(|line| line.starts_with('#')).map(str::to_owned);
        lines.collect::<Vec<_>>()
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let at_root = without_head(read(&root.join("action.yml")));
    let copied = without_head(read(&shipped("github-action/action.yml")));
    assert_eq!(at_root.len(), copied.len());
    let differ: Vec<_> = at_root.iter().zip(&copied).filter(|(one, other)| one != other).collect();
    let [(line, _)] = differ.as_slice() else { panic!("more than the path differs: {differ:?}") };
    let path = line.split("$GITHUB_ACTION_PATH/").nth(1).and_then(|rest| rest.split('"').next());
    assert!(root.join(path.expect("a path")).is_file(), "{line}");
}

/// The lines of a block of GitLab's template, as its runner hands them to the shell.
fn block(yaml: &str, section: &str) -> String {
    let lines = yaml.lines().skip_while(|line| *line != format!("  {section}:")).skip(2);
    let inside = lines.map_while(|line| line.strip_prefix("      "));
    inside.map(|line| format!("{line}\n")).collect()
}

/// A folder with an archive as a release has it; the binary in it is a link to ours.
fn release(dir: &Path) -> (String, String) {
    std::fs::create_dir(dir.join("pointsman-linux")).expect("made");
    std::os::unix::fs::symlink(BINARY, dir.join("pointsman-linux/pointsman")).expect("a link");
    let archive = dir.join("release.tar.gz");
    let packed = run(Command::new("tar").arg("-czf").arg(&archive).arg("pointsman-linux").current_dir(dir));
    assert_eq!(packed.code, 0, "{packed:?}");
    let sum = run(Command::new("sha256sum").arg(&archive)).out;
    (archive.to_string_lossy().into_owned(), sum.split(' ').next().expect("a sum").to_owned())
}

#[test]
fn the_gitlab_job_verifies_the_binary_and_ends_as_the_rollout_does() {
    let (nginx, green) = (Nginx::start(&["blue"]), Origin::named("green"));
    let pointsman = Pointsman::start(&config(nginx.addresses[0], green.address, SHORT));
    let yaml = read(&shipped("ci/gitlab.yml"));
    let dir = TempDir::new().expect("a directory");
    let (archive, sum) = release(dir.path());
    // The runner's shell stops at the first line that fails, and one session runs both blocks.
    let script = format!("set -e\n{}{}", block(&yaml, "before_script"), block(&yaml, "script"));
    // The archive is a file of this machine here: wget takes no such address.
    let fetch = "wget -q -O pointsman.tar.gz \"$POINTSMAN_DOWNLOAD\"";
    assert!(script.contains(fetch), "{script}");
    let script = script.replace(fetch, "cp \"$POINTSMAN_DOWNLOAD\" pointsman.tar.gz");
    let job = |pipeline: &str, sum: &str| {
        let work = TempDir::new().expect("a directory");
        run(Command::new("sh")
            .args(["-c", &script])
            .current_dir(work.path())
            .env("POINTSMAN_DOWNLOAD", &archive)
            .env("POINTSMAN_SHA256", sum)
            .env("POINTSMAN_ADMIN", admin(&pointsman))
            .env("POINTSMAN_SERVICE", "web")
            .envs([("POINTSMAN_TO", "idle"), ("POINTSMAN_TIMEOUT", "60s")])
            .envs([
                ("CI_COMMIT_SHORT_SHA", "0a1b2c3d"),
                ("CI_PIPELINE_ID", pipeline),
                ("CI_JOB_NAME", "deploy web"),
            ]))
    };
    let load = Load::start(pointsman.http(), 4);
    let refused = job("1", &"0".repeat(64));
    assert!(
        refused.code != 0 && pointsman.history().iter().all(|row| row["action"] != "started"),
        "{refused:?}"
    );
    let good = job("2", &sum);
    assert!(good.code == 0 && good.out.contains("promoted"), "{good:?}");
    assert_eq!(pointsman.row("started")["version"].as_str().unwrap_or("0a1b2c3d"), "0a1b2c3d");
    let again = job("2", &sum);
    assert_eq!(again.code, 0, "the same pipeline follows the same rollout: {again:?}");

    assert_eq!(pointsman.cli(&["rollback", "web"]).code, 0);
    green.react(|_| Reaction::Answer(500, "broken".into()));
    let bad = job("3", &sum);
    assert_eq!(bad.code, 3, "{bad:?}");
    load.stop();
    for variable in ["POINTSMAN_TO: idle", "POINTSMAN_TIMEOUT: 60m", "exit_codes: [4, 5]"] {
        assert!(yaml.contains(variable), "{variable}");
    }
}

/// The forced command of a key for `web` and `api`, for what was sent.
fn forced(sent: Option<&str>, home: &Path, pointsman: &Pointsman) -> super::super::harness::Printed {
    let binaries = Path::new(BINARY).parent().expect("a folder").to_string_lossy();
    let mut command = Command::new(shipped("ci/ssh-command.sh"));
    command.args(["web", "api"]).env("HOME", home).env_remove("POINTSMAN_TOKEN");
    command.env("PATH", format!("{binaries}:/usr/bin:/bin")).env("POINTSMAN_ADMIN", admin(pointsman));
    run(command.envs(sent.map(|sent| ("SSH_ORIGINAL_COMMAND", sent))).current_dir(home))
}

#[test]
fn a_deploy_key_may_deploy_its_services_and_no_more() {
    let nginx = Nginx::start(&["blue", "green"]);
    let home = TempDir::new().expect("a directory");
    let pointsman = Pointsman::start(&config(nginx.addresses[0], nginx.addresses[1], SHORT));
    let may = |sent: &str| forced(Some(sent), home.path(), &pointsman);
    let idle = may("pointsman idle web");
    assert_eq!((idle.code, idle.out.trim()), (0, "green"), "{idle:?}");
    let deploy = format!("pointsman deploy web --upstreams {} --version v2", nginx.addresses[1]);
    assert_eq!(may(&deploy).code, 0);
    assert_eq!(pointsman.cli(&["rollout", "abort", "web"]).code, 0);
    assert!(may("pointsman rollout status web").out.contains("v2"));
    for sent in [
        "id",
        "sh -c id",
        "pointsman",
        "pointsman flip web --to green",
        "pointsman --output json status web",
        "pointsman status",
        "pointsman status other",
        "pointsman deploy other --upstreams 10.0.0.1:80",
        "pointsman rollout promote other",
        "pointsman status web --admin http://192.0.2.1:80",
        "pointsman status web --admin=http://192.0.2.1:80",
        "pointsman status web; touch pwned",
        "pointsman status web\ntouch pwned",
        "pointsman status $(touch pwned)",
        "pointsman status `touch pwned`",
        "pointsman status web | tee pwned",
        "pointsman status web > pwned",
        "pointsman status *",
    ] {
        let refused = may(sent);
        assert!(refused.code == 2 && refused.err.starts_with("refused: "), "{sent}: {refused:?}");
    }
    let shell = forced(None, home.path(), &pointsman);
    assert!(shell.code == 2 && shell.err.contains("no shell"), "{shell:?}");
    assert_eq!(std::fs::read_dir(home.path()).expect("a folder").count(), 0, "nothing was run by the way");
}

#[test]
fn a_deploy_key_shows_the_token_of_its_user() {
    let nginx = Nginx::start(&["blue", "green"]);
    let made =
        run(Command::new(BINARY)
            .args(["token", "new", "--name", "ci", "--role", "deploy", "--output", "json"]));
    let token: serde_json::Value = serde_json::from_str(&made.out).expect("JSON");
    let tokens = format!(
        "[admin]\nlisten = \"127.0.0.1:0\"\ntokens = [{{ name = \"ci\", role = \"deploy\", sha256 = {} }}]\n",
        token["sha256"]
    );
    let pointsman = Pointsman::start(&(tokens + &config(nginx.addresses[0], nginx.addresses[1], SHORT)));
    let home = TempDir::new().expect("a directory");
    let idle = || forced(Some("pointsman idle web"), home.path(), &pointsman);
    assert_eq!(idle().code, 1, "no token");
    std::fs::write(home.path().join(".pointsman-token"), token["token"].as_str().expect("a token"))
        .expect("written");
    assert_eq!(idle().out.trim(), "green");
}
