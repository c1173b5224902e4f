//! The product as a process, with its configuration and state in a directory of its own.

use super::http::{Answer, get, send};
use super::{PATIENCE, eventually};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_pointsman");

/// A running pointsman; killed when dropped.
pub struct Pointsman {
    pub dir: TempDir,
    pub admin: SocketAddr,
    /// The listeners in the order of the configuration.
    pub listeners: Vec<SocketAddr>,
    child: Child,
    /// The process that has taken over by an upgrade.
    successor: Option<u32>,
    log: Arc<Mutex<Vec<String>>>,
}

/// What a client command printed.
#[derive(Debug)]
pub struct Printed {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Pointsman {
    /// Starts with this configuration; `[server]`, `[admin]` and a plain listener are added where they
    /// are missing.
    #[track_caller]
    pub fn start(config: &str) -> Self {
        let dir = TempDir::new().expect("a directory");
        std::fs::write(dir.path().join("pointsman.toml"), whole(config)).expect("a file");
        Pointsman::start_in(dir)
    }

    /// Starts with what lies in the directory.
    #[track_caller]
    pub fn start_in(dir: TempDir) -> Self {
        Pointsman::start_by(&mut Command::new(BINARY), dir)
    }

    /// The same, from a file of the directory that can be replaced by another program.
    #[track_caller]
    pub fn start_replaceable(config: &str) -> Self {
        let dir = TempDir::new().expect("a directory");
        std::fs::write(dir.path().join("pointsman.toml"), whole(config)).expect("a file");
        let binary = dir.path().join("pointsman");
        std::os::unix::fs::symlink(BINARY, &binary).expect("a link");
        Pointsman::start_by(&mut Command::new(binary), dir)
    }

    /// The same with environment variables.
    #[track_caller]
    pub fn start_with(dir: TempDir, env: &[(&str, &str)]) -> Self {
        Pointsman::start_by(Command::new(BINARY).envs(env.iter().copied()), dir)
    }

    /// Starts with this configuration and these variables.
    #[track_caller]
    pub fn start_told(config: &str, env: &[(&str, &str)]) -> Self {
        let dir = TempDir::new().expect("a directory");
        std::fs::write(dir.path().join("pointsman.toml"), whole(config)).expect("a file");
        Pointsman::start_with(dir, env)
    }

    /// Puts another program where [`Pointsman::start_replaceable`] started from; `None` is the real one.
    pub fn replace_binary(&self, script: Option<&str>) {
        let (new, at) = (self.dir.path().join("new"), self.dir.path().join("pointsman"));
        match script {
            None => std::os::unix::fs::symlink(BINARY, &new).expect("a link"),
            Some(script) => {
                std::fs::write(&new, format!("#!/bin/sh\n{script}\n")).expect("a file");
                let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
                std::fs::set_permissions(&new, mode).expect("executable");
            }
        }
        std::fs::rename(new, at).expect("renamed");
    }

    /// The same with a command of which everything but the arguments is set.
    #[track_caller]
    pub fn start_by(command: &mut Command, dir: TempDir) -> Self {
        let mut child = command
            .args(["run", "--config"])
            .arg(dir.path().join("pointsman.toml"))
            .env("NO_PROXY", "127.0.0.1")
            .stdout(std::fs::File::create(dir.path().join("stdout")).expect("a file"))
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary is built");
        let log = Arc::new(Mutex::new(Vec::new()));
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let lines = log.clone();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                lines.lock().expect("no panic").push(line);
            }
        });
        let all = || log.lock().expect("no panic").join("\n");
        let since = Instant::now();
        let admin = loop {
            if let Some(address) = addresses(&all(), "admin").first() {
                break *address;
            }
            let ended = child.try_wait().expect("a state");
            assert!(ended.is_none() && since.elapsed() < PATIENCE, "it does not start:\n{}", all());
            std::thread::sleep(std::time::Duration::from_millis(2));
        };
        let listeners = addresses(&all(), "http");
        Pointsman { dir, admin, listeners, child, successor: None, log }
    }

    pub fn http(&self) -> SocketAddr {
        self.listeners[0]
    }

    pub fn pid(&self) -> u32 {
        self.successor.unwrap_or(self.child.id())
    }

    /// `pointsman upgrade`. Where it succeeds, this stands for the new process from then on.
    pub fn upgrade(&mut self) -> Printed {
        let printed = self.cli(&["--output", "json", "upgrade"]);
        if printed.code == 0 {
            let report: Value = serde_json::from_str(&printed.out).expect("JSON");
            assert_eq!(report["old_pid"].as_u64(), Some(u64::from(self.pid())), "{report}");
            self.succeeded_by(report["new_pid"].as_u64().expect("a pid") as u32);
        }
        printed
    }

    /// From now on this stands for another process.
    pub fn succeeded_by(&mut self, pid: u32) {
        self.successor = Some(pid);
    }

    /// Waits until the process that was started first has ended; how.
    pub fn first_ended(&mut self) -> ExitStatus {
        eventually("the old process ends", || self.child.try_wait().expect("a state").is_some());
        self.child.wait().expect("a status")
    }

    fn kill_successor(&self) {
        let Some(pid) = self.successor.filter(|pid| self.is_ours(*pid)) else { return };
        let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
        eventually("it is gone", || has_ended(pid));
    }

    /// Whether a process runs our configuration: an id alone may be somebody else's by now.
    pub fn is_ours(&self, pid: u32) -> bool {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&*self.dir.path().to_string_lossy())
    }

    pub fn log(&self) -> String {
        self.log.lock().expect("no panic").join("\n")
    }

    /// Changes the configuration file; nothing is reloaded.
    pub fn configure(&self, config: &str) {
        std::fs::write(self.dir.path().join("pointsman.toml"), whole(config)).expect("a file");
    }

    /// `kill -9`, then a start with what was left behind.
    #[track_caller]
    pub fn kill_and_restart(self) -> Self {
        Pointsman::start_in(self.kill())
    }

    pub fn kill(mut self) -> TempDir {
        self.kill_successor();
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.give_dir()
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.pid().to_string()]).status();
        assert!(sent.expect("kill").success());
    }

    /// SIGTERM, and how it ended.
    pub fn terminate(mut self) -> (ExitStatus, TempDir) {
        self.signal("TERM");
        let status = self.child.wait().expect("a status");
        (status, self.give_dir())
    }

    fn give_dir(&mut self) -> TempDir {
        std::mem::replace(&mut self.dir, TempDir::new().expect("a directory"))
    }

    /// A client command.
    pub fn cli(&self, args: &[&str]) -> Printed {
        Pointsman::cli_at(self.admin, args)
    }

    /// The same from another thread.
    pub fn cli_at(admin: SocketAddr, args: &[&str]) -> Printed {
        run(Command::new(BINARY).args(args).env("POINTSMAN_ADMIN", format!("http://{admin}")))
    }

    /// The same command on a terminal with so many columns and 24 lines: what it wrote there.
    pub fn on_terminal(&self, columns: usize, args: &str) -> String {
        let command =
            format!("stty cols {columns} rows 24; exec {BINARY} --admin http://{} {args}", self.admin);
        let printed = run(Command::new("script").args(["-qec", &command, "/dev/null"]));
        printed.out.replace('\r', "")
    }

    pub fn get(&self, path: &str) -> Answer {
        get(self.admin, path)
    }

    /// A call of the admin API; an empty body is none.
    pub fn call(&self, method: &str, path: &str, body: &str) -> Answer {
        self.call_with(method, path, "", body)
    }

    /// The same with header lines, each ended by CR LF.
    pub fn call_with(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        let length = body.len();
        send(
            self.admin,
            &format!(
                "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{kind}{headers}Content-Length: {length}\r\n\r\n{body}"
            ),
        )
    }

    /// The service `web`.
    #[track_caller]
    pub fn web(&self) -> Value {
        self.get("/v1/services/web").json()
    }

    /// Percent of a pool of `web`.
    #[track_caller]
    pub fn weight(&self, pool: &str) -> f64 {
        self.web()["pools"][pool]["weight"].as_f64().expect("a weight")
    }

    /// Starts a rollout of `web`; its id.
    #[track_caller]
    pub fn start_rollout(&self, body: &str) -> String {
        let answer = self.call("POST", "/v1/services/web/rollouts", body);
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["id"].as_str().expect("an id").to_owned()
    }

    /// Waits for the end of a rollout of `web`; its view.
    #[track_caller]
    pub fn ended(&self, id: &str) -> Value {
        let mut view = Value::Null;
        eventually("the rollout ends", || {
            view = self.get(&format!("/v1/services/web/rollouts/{id}?wait=5s")).json();
            view["outcome"].is_string()
        });
        view
    }

    /// The history of `web`, newest first.
    #[track_caller]
    pub fn history(&self) -> Vec<Value> {
        self.get("/v1/services/web/history?limit=500").json()["history"].as_array().expect("rows").clone()
    }

    /// The newest row with this action; waits for it, since an abort's row follows the abort.
    #[track_caller]
    pub fn row(&self, action: &str) -> Value {
        let mut found = None;
        eventually("the history has the row", || {
            found = self.history().into_iter().find(|row| row["action"] == action);
            found.is_some()
        });
        found.expect("found")
    }
}

impl Drop for Pointsman {
    fn drop(&mut self) {
        self.kill_successor();
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the log of pointsman\n{}", self.log());
        }
    }
}

/// Whether a process has ended, and each of its threads: only then are its files closed, and its locks free. Its
/// command line is gone before.
fn has_ended(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    threads == 0 || threads == 1 && state.is_none_or(|state| state == 'Z')
}

/// A command without a running instance.
pub fn run(command: &mut Command) -> Printed {
    let output = command.output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Printed { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
}

impl Printed {
    /// `pointsman` with arguments, in a directory.
    pub fn of(args: &[&str], dir: &Path) -> Self {
        run(Command::new(BINARY).args(args).current_dir(dir))
    }
}

/// A configuration with what is missing added.
pub fn whole(config: &str) -> String {
    let mut text = String::new();
    if !config.contains("[server]") {
        text.push_str("[server]\nstate_dir = \"state\"\nthreads = 2\ngrace = \"5s\"\n");
    }
    if !config.contains("[admin]") {
        text.push_str("[admin]\nlisten = \"127.0.0.1:0\"\n");
    }
    if !config.contains("[[listeners]]") {
        text.push_str(
            "[[listeners]]\naddress = \"127.0.0.1:0\"\nlimits = { requests_per_connection = 1000000 }\n",
        );
    }
    if !config.contains("[[routes]]") {
        text.push_str("[[routes]]\nservice = \"web\"\n");
    }
    text + config
}

/// Every `listening http=ADDRESS` of a log; `http` finds `https` too.
fn addresses(log: &str, scheme: &str) -> Vec<SocketAddr> {
    let lines = log.lines().filter(|line| line.contains(&format!("listening {scheme}")));
    lines
        .filter_map(|line| line.rsplit('=').next()?.trim_end_matches(['"', '}']).trim().parse().ok())
        .collect()
}
