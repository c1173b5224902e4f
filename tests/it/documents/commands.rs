//! The commands that README, the quickstarts and the runbook say to type, typed in their order, each page with a server,
//! applications and users of its own.
//!
//! The comment above a block says what is not as usual: `not run: REASON`; `given: STATE`, what has happened before
//! ([`World::given`]); `exits: N`, how its last command ends; `until: stopped`, it ends by Ctrl-C. A block of `text` below
//! says what the last command before it prints, `…` standing for anything.

use super::fences::{self, Fence, Typed};
use super::{files_in, read};
use crate::alerts::root;
use crate::harness::{Load, Origin, Pointsman, Reaction, eventually, whole};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// Addresses in the pages, in the place of which an application of the test listens.
const APPLICATIONS: [&str; 6] =
    ["10.0.0.1:3000", "10.0.0.2:3000", "10.0.0.3:3000", "10.0.0.4:3000", "127.0.0.1:3000", "127.0.0.1:3100"];
/// Rollouts of minutes take a second here.
const QUICK: &str = "[services.web.rollout]\nmin_attempts = 10\nbake = \"200ms\"\n\
                     steps = [{ weight = 5, hold = \"200ms\" }, { weight = 25, hold = \"200ms\" }, { weight = 100 }]\n";
const TOKEN: &str = "pmt_documents";
const NGINX: &str =
    "events {}\nhttp { server { listen 8080; location / { proxy_pass http://127.0.0.1:3000; } } }\n";

/// One page, with what runs while its commands are typed.
struct World {
    pointsman: Pointsman,
    applications: Vec<(&'static str, Origin)>,
    /// What stands in the page, and what is typed in its place.
    replaced: Vec<(String, String)>,
    _load: Load,
}

impl World {
    fn start(config: &str) -> Self {
        let applications = APPLICATIONS.map(|address| (address, Origin::named(address)));
        let own =
            applications.iter().map(|(written, origin)| ((*written).to_owned(), origin.address.to_string()));
        let mut replaced: Vec<_> =
            own.chain([("127.0.0.1:8080".to_owned(), "127.0.0.1:0".to_owned())]).collect();
        let dir = TempDir::new().expect("a directory");
        let config = replace(&(config.to_owned() + QUICK), &replaced);
        std::fs::write(dir.path().join("pointsman.toml"), whole(&config)).expect("a file");
        std::fs::write(dir.path().join("nginx.conf"), NGINX).expect("a file");
        let pointsman = Pointsman::start_in(dir);
        let folder = pointsman.dir.path().display().to_string();
        replaced.extend([
            ("127.0.0.1:9900".to_owned(), pointsman.admin.to_string()),
            ("/etc/pointsman/".to_owned(), format!("{folder}/")),
            ("/etc/nginx/".to_owned(), format!("{folder}/")),
        ]);
        let load = Load::start(pointsman.http(), 4);
        let world = World { pointsman, applications: applications.into(), replaced, _load: load };
        eventually("both pools are proven", || world.is_proven());
        world
    }

    /// Whether each upstream has passed a check.
    fn is_proven(&self) -> bool {
        let answer = self.command("pointsman --output json status web").output().expect("it runs");
        let view: serde_json::Value = serde_json::from_slice(&answer.stdout).unwrap_or_default();
        let pools = view[0]["pools"].as_object().cloned().unwrap_or_default();
        let upstreams =
            pools.values().flat_map(|pool| pool["upstreams"].as_array().cloned().unwrap_or_default());
        let states: Vec<_> =
            upstreams.map(|one| one["checked"].is_string() && one["state"] == "ready").collect();
        !states.is_empty() && states.iter().all(|proven| *proven)
    }

    /// Brings about what a page takes for granted at a place.
    fn given(&self, what: &str) {
        match what {
            "the other version answers 500" => {
                let (_, blue) =
                    self.applications.iter().find(|(at, _)| *at == "127.0.0.1:3000").expect("it runs");
                blue.react(|_| Reaction::Answer(500, "broken".into()));
            }
            "a rollout runs" => {
                let steps = r#"[{"weight": 5, "hold": "1h"}, {"weight": 100}]"#;
                let body = format!(r#"{{"to": "idle", "version": "v8", "steps": {steps}}}"#);
                let token = format!("Authorization: Bearer {TOKEN}\r\n");
                let answer = self.pointsman.call_with("POST", "/v1/services/web/rollouts", &token, &body);
                assert_eq!(answer.status, 201, "{}", answer.text());
            }
            "another version was promoted" => {
                let start = "pointsman rollout start web --to idle --version v9 --wait";
                let output = self.command(start).output().expect("it runs");
                assert_eq!(output.status.code(), Some(0), "{}", said(&output));
                eventually("its upstreams have been checked", || self.is_proven());
            }
            _ => panic!("a page takes for granted what no test can bring about: {what}"),
        }
    }

    fn command(&self, text: &str) -> Command {
        let binary = Path::new(env!("CARGO_BIN_EXE_pointsman")).parent().expect("a folder").display();
        let mut command = Command::new("bash");
        command
            .args(["-c", &replace(text, &self.replaced)])
            .current_dir(self.pointsman.dir.path())
            .env("PATH", format!("{binary}:{}", std::env::var("PATH").expect("a path")))
            .env("POINTSMAN_ADMIN", format!("http://{}", self.pointsman.admin))
            .env("POINTSMAN_TOKEN", TOKEN)
            .env("ADMIN_TOKEN", TOKEN)
            .env("NO_PROXY", "127.0.0.1")
            .stdin(Stdio::null());
        command
    }

    /// What it printed, or what is wrong with it.
    fn run(&self, typed: &Typed, exits: i32) -> Result<String, String> {
        let output = self.command(&typed.text).output().expect("bash");
        match output.status.code() {
            Some(code) if code == exits => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            code => Err(format!("exits with {code:?} and not with {exits}:\n{}", said(&output))),
        }
    }

    /// Ends by Ctrl-C once it has printed something.
    fn run_until_stopped(&self, typed: &Typed) -> Result<String, String> {
        let mut child =
            self.command(&format!("exec {}", typed.text)).stdout(Stdio::piped()).spawn().expect("bash");
        let mut printed = [0; 4096];
        let count = child.stdout.take().expect("piped").read(&mut printed).unwrap_or_default();
        let stopped = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
        child.wait().expect("it ends");
        match count {
            1.. if stopped.success() => Ok(String::from_utf8_lossy(&printed[..count]).into_owned()),
            _ => Err("ended before it was stopped".to_owned()),
        }
    }
}

fn replace(text: &str, replaced: &[(String, String)]) -> String {
    replaced.iter().fold(text.to_owned(), |text, (written, typed)| text.replace(written, typed))
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The lines that a page shows, in their order, among what was printed. Runs of blanks are one.
fn shows(printed: &str, expected: &Fence) -> Result<(), String> {
    let plain = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut left = printed.lines().map(plain);
    for (at, line) in expected.lines.iter().filter(|(_, line)| !line.trim().is_empty()) {
        let wanted = plain(line);
        if !left.any(|line| fits(&line, &wanted)) {
            return Err(format!("line {at} does not come: {line}\nin what was printed:\n{printed}"));
        }
    }
    Ok(())
}

/// Whether a line is as a pattern says, in which `…` stands for anything.
fn fits(line: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('…');
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else { return false };
    let Some(last) = pattern.contains('…').then(|| parts.next_back()).flatten() else {
        return rest.is_empty();
    };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

/// How many commands of a page ran, and how many did not, with the reasons.
#[derive(Default)]
struct Tally {
    run: usize,
    not_run: Vec<String>,
}

fn types_all(file: &str, config: &str) -> Tally {
    let fences = fences::of(file, &read(&root().join(file)));
    let is_typed = |fence: &&Fence| fence.kind == "sh";
    let mut tally = Tally::default();
    let world = World::start(config);
    for (at, fence) in fences.iter().enumerate().filter(|(_, fence)| is_typed(fence)) {
        if let Some(reason) = fence.note("not run") {
            assert!(reason.len() > 5, "{file}:{}: say why it is not run", fence.line);
            tally.not_run.push(format!("line {}, {} commands: {reason}", fence.line, fence.commands().len()));
            continue;
        }
        let printed = fences.get(at + 1).filter(|fence| fence.kind == "text");
        tally.run += types(&world, fence, printed).unwrap_or_else(|fault| panic!("{file}:{fault}"));
    }
    println!("{file}: {} commands run; not run: {:?}", tally.run, tally.not_run);
    tally
}

/// Types the commands of one block; how many there are, or the line and what is wrong with it.
fn types(world: &World, fence: &Fence, printed: Option<&Fence>) -> Result<usize, String> {
    let known = |key: &str| ["given", "exits", "until"].contains(&key);
    if let Some((key, _)) = fence.notes.iter().find(|(key, _)| !known(key)) {
        return Err(format!("{}: the note {key} is not known", fence.line));
    }
    fence.note("given").into_iter().for_each(|what| world.given(what));
    let commands = fence.commands();
    for (at, typed) in commands.iter().enumerate() {
        let is_last = at + 1 == commands.len();
        let exits = fence.note("exits").filter(|_| is_last).map_or(0, |code| code.parse().expect("a code"));
        let done = match fence.note("until").filter(|_| is_last) {
            Some(_) => world.run_until_stopped(typed),
            None => world.run(typed, exits),
        };
        let shown =
            done.and_then(|out| printed.filter(|_| is_last).map_or(Ok(()), |printed| shows(&out, printed)));
        shown.map_err(|why| format!("{}: {} {why}", typed.line, typed.text))?;
    }
    Ok(commands.len())
}

/// The configuration that a page shows first.
fn shown_in(file: &str) -> String {
    let fences = fences::of(file, &read(&root().join(file)));
    let first = fences.iter().find(|fence| fence.kind == "toml").expect("a configuration");
    first.lines.iter().map(|(_, line)| format!("{line}\n")).collect()
}

#[test]
fn the_readme_says_what_works() {
    let tally = types_all("README.md", &shown_in("README.md"));
    assert!(tally.run >= 10 && tally.not_run.len() <= 3, "{}, {:?}", tally.run, tally.not_run);
}

#[test]
fn a_machine_of_ones_own_is_set_up_as_the_page_says() {
    let file = "docs/quickstart-vm.md";
    // The page begins with the smallest configuration, and puts a policy into it.
    let smallest = read(&root().join("conf/minimal.toml"));
    let (above, below) = smallest.split_once("[services.web]\nstable = \"blue\"\n").expect("the service");
    let (above, shown) = (above.replace("./state", "state"), shown_in(file));
    let config = format!("{above}{shown}{below}[admin]\nlisten = \"127.0.0.1:0\"\n");
    let tally = types_all(file, &config);
    assert!(tally.run >= 4 && tally.not_run.len() <= 2, "{}, {:?}", tally.run, tally.not_run);
}

/// A site with a token, whose rolling updates are done as soon as they are asked for.
fn site(hook: &Origin) -> String {
    let hash = <sha2::Sha256 as sha2::Digest>::digest(TOKEN);
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "[admin]\nlisten = \"127.0.0.1:0\"\ntokens = [{{ name = \"ops\", role = \"admin\", sha256 = \"{hash}\" }}]\n\
         [services.web]\nstable = \"blue\"\npolicy = \"default\"\n\
         [services.web.pools.blue]\nupstreams = [\"10.0.0.1:3000\", \"10.0.0.2:3000\"]\n\
         [services.web.pools.green]\nupstreams = [\"127.0.0.1:3100\"]\n\
         [policies.default]\nerror_rate = {{ warning = \"0.5%\", critical = \"1%\" }}\n\
         [services.web.testers]\nnetworks = [\"10.0.0.0/8\"]\n[services.web.rollout.rolling]\nwatch = \"200ms\"\nhook = {{ url = \"http://{}/\" }}\n",
        hook.address
    )
}

#[test]
fn the_runbook_says_what_works() {
    let tally = types_all("docs/runbook.md", &site(&Origin::named("updated")));
    assert!(tally.run >= 12 && tally.not_run.is_empty(), "{}, {:?}", tally.run, tally.not_run);
}

#[test]
fn the_pages_on_rollouts_and_from_nginx_say_what_works() {
    let tally = types_all("docs/rollouts.md", &site(&Origin::named("updated")));
    assert!(tally.run >= 12 && tally.not_run.is_empty(), "{}, {:?}", tally.run, tally.not_run);
    let tally = types_all("docs/nginx-migration.md", &shown_in("README.md"));
    // What asks nginx, too, is typed by the tests of conformance.
    assert!(tally.run >= 2 && tally.not_run.len() == 1, "{}, {:?}", tally.run, tally.not_run);
}

/// A quickstart that no test types says at each of its blocks why.
#[test]
fn every_quickstart_is_typed_or_says_why_not() {
    let typed = ["docs/quickstart-vm.md"];
    for page in files_in(&root().join("docs"), "md") {
        let name = super::name(&page);
        if !name.starts_with("docs/quickstart") || typed.contains(&&*name) {
            continue;
        }
        let fences = fences::of(&name, &read(&page));
        for fence in fences.iter().filter(|fence| fence.kind == "sh") {
            let reason = fence.note("not run").unwrap_or_default();
            assert!(reason.len() > 5, "{name}:{}: give it a test here, or say why it is not run", fence.line);
        }
    }
}

#[test]
fn patterns_leave_out_what_they_say() {
    assert!(
        fits("a b c", "a b c")
            && fits("a 17 ms c", "a … c")
            && fits("abc", "…")
            && fits("x 1 y 2", "x … y …")
    );
    assert!(
        !fits("a b c d", "a b c") && !fits("b c", "a …") && !fits("a b", "… c") && !fits("y x", "x … y …")
    );
}
