//! What a CI job runs: the GitHub Action's script and the curl examples, against the real binary.

mod templates;

use super::harness::{Load, Nginx, Origin, Pointsman, Printed, Reaction, eventually};
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use tempfile::TempDir;

const SHORT: &str =
    "steps = [{ weight = 5, hold = \"100ms\" }, { weight = 100 }]\nbake = \"100ms\"\nmin_attempts = 10";
/// Only the policy, or somebody, ends it.
const LONG: &str = "steps = [{ weight = 50, hold = \"1h\" }, { weight = 100 }]\nbake = \"0s\"";

fn config(blue: SocketAddr, green: SocketAddr, rollout: &str) -> String {
    format!(
        "[services.web]\nstable = \"blue\"\npolicy = \"default\"\n\
         [services.web.pools.blue]\nupstreams = [\"{blue}\"]\n\
         [services.web.pools.green]\nupstreams = [\"{green}\"]\n\
         [services.web.rollout]\n{rollout}\n\
         [policies.default]\nerror_rate = {{ critical = \"1%\" }}\n"
    )
}

fn shipped(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conf").join(file)
}

/// A shipped script as a job that goes on by itself, with GitHub's files.
struct Job {
    dir: TempDir,
    child: Child,
}

/// What it left behind.
#[derive(Debug)]
struct Left {
    code: i32,
    /// Standard output, then standard error.
    text: String,
    outputs: BTreeMap<String, String>,
    summary: String,
    course: String,
}

impl Job {
    fn start(script: &str, admin: &str, settings: &[(&str, &str)], args: &[&str]) -> Self {
        let dir = TempDir::new().expect("a directory");
        let file = |name: &str| std::fs::File::create(dir.path().join(name)).expect("a file");
        let child = Command::new(shipped(script))
            .args(args)
            .env("NO_PROXY", "127.0.0.1")
            .env("POINTSMAN_ADMIN", admin)
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_OUTPUT", dir.path().join("outputs"))
            .env("RUNNER_TEMP", dir.path())
            .env("GITHUB_STEP_SUMMARY", dir.path().join("summary"))
            .envs(settings.iter().copied())
            .current_dir(dir.path())
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .expect("bash is there, and the script may be run");
        Job { dir, child }
    }

    /// The action's script, for a rollout of `web` to green.
    fn action(pointsman: &Pointsman, settings: &[(&str, &str)]) -> Self {
        let to_green = [("POINTSMAN_SERVICE", "web"), ("POINTSMAN_TO", "green")];
        Job::start("github-action/rollout.sh", &admin(pointsman), &[&to_green, settings].concat(), &[])
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(name)).unwrap_or_default()
    }

    fn end(mut self) -> Left {
        let code = self.child.wait().expect("a status").code().unwrap_or(-1);
        let outputs = self.read("outputs");
        let pairs = outputs.lines().filter_map(|line| line.split_once('='));
        Left {
            code,
            text: self.read("stdout") + &self.read("stderr"),
            outputs: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            summary: self.read("summary"),
            course: self.read("pointsman-course.svg"),
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn admin(pointsman: &Pointsman) -> String {
    format!("http://{}", pointsman.admin)
}

fn example(script: &str, pointsman: &Pointsman, args: &[&str]) -> Left {
    Job::start(&format!("ci/{script}"), &admin(pointsman), &[], args).end()
}

#[test]
fn a_promoted_rollout_ends_the_step_well_with_its_outputs() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&config(nginx.addresses[0], nginx.addresses[1], SHORT));
    let load = Load::start(pointsman.http(), 4);
    // Nothing of a value is read as code, as JSON, as a command of GitHub's or as Markdown.
    let version = "v2 \"$(touch pwned)\" `touch pwned` 'x' | %0A::error::forged";
    let left =
        Job::action(&pointsman, &[("POINTSMAN_VERSION", version), ("POINTSMAN_STRATEGY", "canary")]).end();
    load.stop();
    assert_eq!(left.code, 0, "{left:?}");
    let id = left.outputs["rollout"].as_str();
    let view = pointsman.get(&format!("/v1/services/web/rollouts/{id}")).json();
    assert_eq!((view["outcome"].as_str(), view["version"].as_str()), (Some("promoted"), Some(version)));
    assert_eq!((left.outputs["outcome"].as_str(), left.outputs["stable"].as_str()), ("promoted", "green"));
    assert_eq!(left.outputs["reason"], view["reason"].as_str().expect("a reason"));
    for begins in ["::group::rollout ", "::endgroup::", "::notice::the rollout "] {
        assert!(left.text.lines().any(|line| line.starts_with(begins)), "{begins}: {left:?}");
    }
    assert!(!left.text.lines().any(|line| line.starts_with("::error::")), "{left:?}");
    let actions =
        left.text.lines().filter_map(|line| line.split("  ").nth(1).filter(|_| line.starts_with("20")));
    let actions: Vec<_> = actions.filter(|action| *action != "held").collect();
    assert_eq!(actions, ["started", "step", "step", "baking", "promoted"]);
    assert!(left.summary.contains("### Rollout of web to green: promoted"), "{left:?}");
    assert!(left.summary.contains("| stable now | green |"), "{left:?}");
    assert!(left.outputs["course"].ends_with("/pointsman-course.svg"), "{left:?}");
    assert!(left.course.contains("<svg") && left.course.contains("promoted"), "{left:?}");
}

#[test]
fn an_aborted_rollout_fails_the_step_with_the_reason() {
    let nginx = Nginx::start(&["blue"]);
    let green = Origin::new(|_| Reaction::Answer(500, "broken".into()));
    let pointsman = Pointsman::start(&config(nginx.addresses[0], green.address, LONG));
    let load = Load::start(pointsman.http(), 4);
    let left = Job::action(&pointsman, &[("POINTSMAN_TIMEOUT", "10m")]).end();
    load.stop();
    assert_eq!(left.code, 3, "{left:?}");
    assert_eq!((left.outputs["outcome"].as_str(), left.outputs["stable"].as_str()), ("aborted", "blue"));
    assert!(left.outputs["reason"].contains("error rate"), "{left:?}");
    let error = left.text.lines().find(|line| line.starts_with("::error::")).expect("an annotation");
    assert!(error.contains("aborted, blue is stable") && error.contains("error rate"), "{error}");
    assert!(left.text.contains("  aborted  "), "the row of the end is shown: {left:?}");
    let failed = format!("| 500 | {} |", green.address);
    assert!(left.summary.contains("| failed | status |") && left.summary.contains(&failed), "{left:?}");
}

#[test]
fn a_run_with_the_same_key_goes_on_after_the_approval() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&config(nginx.addresses[0], nginx.addresses[1], SHORT));
    let load = Load::start(pointsman.http(), 4);
    let settings = [("POINTSMAN_GATE", "true"), ("POINTSMAN_IDEMPOTENCY_KEY", "4711-deploy")];
    let first = Job::action(&pointsman, &settings).end();
    assert_eq!((first.code, first.outputs["outcome"].as_str()), (5, "waiting"), "{first:?}");
    assert!(first.outputs["reason"].contains("approval"), "{first:?}");
    assert_eq!(pointsman.cli(&["rollout", "resume", "web"]).code, 0);
    for _ in 0..2 {
        let again = Job::action(&pointsman, &settings).end();
        assert_eq!((again.code, &again.outputs["rollout"]), (0, &first.outputs["rollout"]), "{again:?}");
    }
    load.stop();
    let rollouts = pointsman.get("/v1/services/web/rollouts").json()["rollouts"].as_array().map(Vec::len);
    assert_eq!(rollouts, Some(1));
}

#[test]
fn a_step_fails_and_names_the_rollout_that_runs() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&config(nginx.addresses[0], nginx.addresses[1], LONG));
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    let left = Job::action(&pointsman, &[]).end();
    assert_eq!(left.code, 1, "{left:?}");
    let url = format!("{}/v1/services/web/rollouts/{id}", admin(&pointsman));
    assert!(left.text.starts_with("::error::") && left.text.contains(&url), "{left:?}");
    assert!(!left.outputs.contains_key("outcome"), "{left:?}");
}

#[test]
fn a_step_that_times_out_leaves_the_rollout_alone() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&config(nginx.addresses[0], nginx.addresses[1], LONG));
    let left = Job::action(&pointsman, &[("POINTSMAN_TIMEOUT", "500ms")]).end();
    assert_eq!((left.code, left.outputs["outcome"].as_str()), (4, "running"), "{left:?}");
    assert_eq!(pointsman.web()["candidate"], "green", "it goes on");
}

#[test]
fn a_step_outlives_a_crash_of_the_proxy() {
    let nginx = Nginx::start(&["blue", "green"]);
    let port = TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a port");
    let admin = format!("[admin]\nlisten = \"{port}\"\n");
    let pointsman = Pointsman::start(&(admin + &config(nginx.addresses[0], nginx.addresses[1], LONG)));
    let job = Job::action(&pointsman, &[]);
    eventually("it follows", || job.read("stdout").contains("  step  "));
    let dir = pointsman.kill();
    eventually("it notices", || job.read("stdout").contains("the admin API is away"));
    let pointsman = Pointsman::start_in(dir);
    assert_eq!(pointsman.cli(&["rollout", "promote", "web"]).code, 0);
    let left = job.end();
    assert_eq!((left.code, left.outputs["outcome"].as_str()), (0, "promoted"), "{left:?}");
}

#[test]
fn a_step_times_out_while_the_proxy_is_away_too() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&config(nginx.addresses[0], nginx.addresses[1], LONG));
    let job = Job::action(&pointsman, &[("POINTSMAN_TIMEOUT", "3s")]);
    eventually("it follows", || job.read("outputs").contains("rollout="));
    drop(pointsman);
    let left = job.end();
    assert_eq!((left.code, left.outputs["outcome"].as_str()), (4, "running"), "{left:?}");
}

#[test]
fn a_step_shows_its_token_and_may_run_dry() {
    let nginx = Nginx::start(&["blue", "green"]);
    let make = ["token", "new", "--name", "ci", "--role", "deploy", "--output", "json"];
    let token = Printed::of(&make, Path::new("/")).out;
    let token: serde_json::Value = serde_json::from_str(&token).expect("JSON");
    let (secret, hash) = (token["token"].as_str().expect("a token"), &token["sha256"]);
    let admin = format!(
        "[admin]\nlisten = \"127.0.0.1:0\"\ntokens = [{{ name = \"ci\", role = \"deploy\", sha256 = {hash} }}]\n"
    );
    let pointsman = Pointsman::start(&(admin + &config(nginx.addresses[0], nginx.addresses[1], SHORT)));
    let by_hand = pointsman.cli(&["weights", "web", "blue=50", "green=50", "--token", secret]);
    assert_eq!(by_hand.code, 0, "{by_hand:?}");
    let load = Load::start(pointsman.http(), 4);
    let left = Job::action(&pointsman, &[("POINTSMAN_TOKEN", secret), ("POINTSMAN_DRY_RUN", "true")]).end();
    load.stop();
    assert_eq!(left.code, 0, "{left:?}");
    assert!(left.text.contains("started by ci, a dry run"), "{left:?}");
    assert_eq!((left.outputs["outcome"].as_str(), left.outputs["stable"].as_str()), ("promoted", "blue"));
    assert!(left.text.contains("nothing was moved") && !left.text.contains(secret), "{left:?}");
}

#[test]
fn a_step_says_what_is_wrong_with_it() {
    let nginx = Nginx::start(&["blue", "green"]);
    let hash = "0".repeat(64);
    let admin = format!(
        "[admin]\nlisten = \"127.0.0.1:0\"\ntokens = [{{ name = \"ci\", role = \"deploy\", sha256 = \"{hash}\" }}]\n"
    );
    let config = config(nginx.addresses[0], nginx.addresses[1], SHORT);
    let (open, guarded) = (Pointsman::start(&config), Pointsman::start(&(admin + &config)));
    let fails = |pointsman: &Pointsman, settings: &[(&str, &str)], code: i32, says: &str| {
        let left = Job::action(pointsman, settings).end();
        assert_eq!(left.code, code, "{settings:?}: {left:?}");
        assert!(left.text.contains(says), "{settings:?}: {left:?}");
    };
    fails(&open, &[("POINTSMAN_TO", "")], 2, "POINTSMAN_TO is empty");
    fails(&open, &[("POINTSMAN_TIMEOUT", "soon")], 2, "write 90s, 45m or 2h");
    fails(&open, &[("POINTSMAN_GATE", "perhaps")], 2, "not true or false");
    fails(&open, &[("POINTSMAN_IDEMPOTENCY_KEY", "a\nX-Forged: b")], 2, "one line");
    fails(&open, &[("POINTSMAN_TO", "red")], 1, "red");
    fails(&open, &[("POINTSMAN_SERVICE", "../a b")], 1, "there is no service ../a b");
    fails(&open, &[("POINTSMAN_STRATEGY", "bold"), ("POINTSMAN_POLICY", "x")], 1, "blue-green, rolling");
    fails(&guarded, &[("POINTSMAN_TOKEN", "pm_wrong")], 1, "this token is not known");
    let site = format!("http://{}", nginx.addresses[0]);
    fails(&open, &[("POINTSMAN_ADMIN", &site)], 1, "is not the admin API of pointsman");
    fails(&open, &[("POINTSMAN_ADMIN", "no-scheme://x")], 1, "cannot be asked");
}

#[test]
fn the_curl_examples_start_and_wait() {
    let nginx = Nginx::start(&["blue"]);
    let green = Origin::named("green");
    let pointsman = Pointsman::start(&config(nginx.addresses[0], green.address, SHORT));
    let load = Load::start(pointsman.http(), 4);
    let start = |key: &str| {
        let left = example("start.sh", &pointsman, &["web", "green", "v2", key]);
        assert_eq!(left.code, 0, "{left:?}");
        let view: serde_json::Value = serde_json::from_str(&left.text).expect("JSON");
        view["id"].as_str().expect("an id").to_owned()
    };
    let id = start("build-17");
    assert_eq!(start("build-17"), id, "the same key");
    let left = example("wait.sh", &pointsman, &["web", &id]);
    assert!(left.code == 0 && left.text.contains("promoted"), "{left:?}");

    assert_eq!(pointsman.cli(&["rollback", "web"]).code, 0);
    green.react(|_| Reaction::Answer(500, "broken".into()));
    let left = example("wait.sh", &pointsman, &["web", &start("build-18")]);
    assert!(left.code == 3 && left.text.contains("error rate"), "{left:?}");
    load.stop();

    let gated = pointsman.start_rollout(r#"{"to": "green", "gate": true}"#);
    assert_eq!(example("wait.sh", &pointsman, &["web", &gated]).code, 5);
    let refused = example("start.sh", &pointsman, &["web", "green", "v3"]);
    assert!(refused.code != 0 && refused.text.contains(&gated), "409 names the one that runs: {refused:?}");
}

#[test]
fn the_curl_example_registers_a_fresh_deploy() {
    let nginx = Nginx::start(&["blue", "green", "fresh"]);
    let pointsman = Pointsman::start(&config(nginx.addresses[0], nginx.addresses[1], SHORT));
    let fresh = nginx.addresses[2].to_string();
    let left = example("register-upstreams.sh", &pointsman, &["web", "green", &fresh]);
    assert_eq!(left.code, 0, "{left:?}");
    let upstreams = pointsman.web()["pools"]["green"]["upstreams"].clone();
    assert_eq!(
        (upstreams[0]["address"].as_str(), upstreams.as_array().map(Vec::len)),
        (Some(&*fresh), Some(1))
    );
    let refused = example("register-upstreams.sh", &pointsman, &["web", "green", "nowhere"]);
    assert!(refused.code != 0 && refused.text.contains("nowhere"), "{refused:?}");
}

#[test]
fn the_curl_example_carries_out_a_rolling_update() {
    let nginx = Nginx::start(&["one", "two"]);
    let text = format!(
        "[services.web]\npolicy = \"default\"\n[services.web.pools.blue]\nupstreams = [\"{}\", \"{}\"]\n\
         [services.web.rollout]\nstrategy = \"rolling\"\nbake = \"0s\"\nmin_attempts = 0\nrolling = {{ watch = \"0s\" }}\n\
         [policies.default]\nerror_rate = {{ critical = \"1%\" }}\n",
        nginx.addresses[0], nginx.addresses[1]
    );
    let pointsman = Pointsman::start(&text);
    let load = Load::start(pointsman.http(), 4);
    let id = pointsman.start_rollout(r#"{"to": "blue", "version": "v2"}"#);
    // `echo` stands for what updates an instance.
    let left = example("rolling.sh", &pointsman, &["web", &id, "echo", "ran for"]);
    let (_, failed, broken) = load.stop();
    assert_eq!((left.code, failed, broken), (0, 0, 0), "{left:?}");
    for address in &nginx.addresses {
        assert_eq!(left.text.matches(&format!("ran for {address}\n")).count(), 1, "{left:?}");
    }
    pointsman.row("promoted");

    let id = pointsman.start_rollout(r#"{"to": "blue", "version": "v3"}"#);
    assert_eq!(pointsman.cli(&["rollout", "abort", "web"]).code, 0);
    let left = example("rolling.sh", &pointsman, &["web", &id, "false"]);
    assert!(left.code == 3 && left.text.contains("aborted by local"), "{left:?}");
}

/// The words after `before` in a text, as far as names go.
fn names<'a>(text: &'a str, before: &'a str) -> impl Iterator<Item = &'a str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    text.split(before).skip(1).map(move |rest| rest.split(|c| !is_name(c)).next().unwrap_or_default())
}

/// The keys one level below a key that stands at the beginning of a line.
fn keys<'a>(yaml: &'a str, section: &str) -> Vec<&'a str> {
    let lines = yaml.lines().skip_while(|line| *line != format!("{section}:")).skip(1);
    let inside = lines.take_while(|line| line.is_empty() || line.starts_with(' '));
    let keys = inside.filter_map(|line| line.strip_prefix("  ")?.strip_suffix(':'));
    keys.filter(|key| !key.starts_with([' ', '#'])).collect()
}

#[test]
fn the_action_and_its_workflow_fit_the_script() {
    let read = |name: &str| std::fs::read_to_string(shipped("github-action").join(name)).expect("a file");
    let (action, workflow, script) = (read("action.yml"), read("deploy.yml"), read("rollout.sh"));
    for yaml in [&action, &workflow] {
        let odd = |line: &str| {
            let indent = line.len() - line.trim_start().len();
            line.contains('\t') || indent % 2 == 1
        };
        assert!(!yaml.lines().any(odd), "YAML is indented by two blanks");
    }
    let inputs = keys(&action, "inputs");
    assert!(inputs.len() > 8, "{inputs:?}");
    let used: Vec<_> = names(&action, "${{ inputs.").collect();
    assert_eq!(used, inputs, "each input is handed to the script, and no other");
    for input in &inputs {
        let variable = format!("POINTSMAN_{}", input.to_uppercase().replace('-', "_"));
        assert!(action.contains(&format!("{variable}: ${{{{ inputs.{input} }}}}")), "{input}");
        assert!(script.contains(&variable), "{variable} is not read by the script");
    }
    let outputs = keys(&action, "outputs");
    assert_eq!(outputs, names(&action, "steps.rollout.outputs.").collect::<Vec<_>>());
    for output in &outputs {
        assert!(script.contains(&format!("output {output} ")), "{output} is not written by the script");
    }
    let with = workflow.split("        with:\n").nth(1).expect("the step's inputs");
    let given = with.lines().map_while(|line| line.strip_prefix("          ")?.split_once(':'));
    let given: Vec<_> = given.map(|(name, _)| name).collect();
    assert!(given.len() > 4 && given.iter().all(|name| inputs.contains(name)), "{given:?}");
    for output in names(&workflow, "steps.rollout.outputs.") {
        assert!(outputs.contains(&output), "{output} is no output");
    }
}
