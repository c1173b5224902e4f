//! A Docker daemon of the test's own, with images of busybox; it needs root and Debian's `docker.io`.

use super::eventually;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// The daemon; its containers, networks and files are gone once it is dropped.
pub struct Dockerd {
    dir: TempDir,
    daemon: Child,
}

impl Dockerd {
    /// `None` where none starts here, with a line that says why.
    pub fn start() -> Option<Self> {
        let left_out = |why: &str| println!("left out, no Docker daemon of its own: {why}");
        if Command::new("dockerd").arg("--version").output().is_err() {
            left_out("dockerd is not installed (make setup-test)");
            return None;
        }
        if !Path::new("/bin/busybox").exists() {
            left_out("busybox is not installed (make setup-test)");
            return None;
        }
        let dir = TempDir::new().expect("a directory");
        let mut dockerd = Dockerd { daemon: spawn(dir.path()), dir };
        let ended = dockerd.answers();
        let image = ended.then(|| dockerd.import());
        if image != Some(true) || !dockerd.docker(&["network", "create", "app"]).0 {
            left_out(&dockerd.log());
            return None;
        }
        Some(dockerd)
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("s")
    }

    /// Whether the daemon answers before it ends.
    fn answers(&mut self) -> bool {
        let mut is_up = false;
        eventually("the daemon answers, or ends", || {
            is_up = self.docker(&["version"]).0;
            is_up || self.daemon.try_wait().expect("a state").is_some()
        });
        is_up
    }

    /// The image `busybox`, of the one on this machine.
    fn import(&self) -> bool {
        let root = self.dir.path().join("root");
        std::fs::create_dir_all(root.join("bin")).expect("a directory");
        std::fs::copy("/bin/busybox", root.join("bin/busybox")).expect("a file");
        for name in ["sh", "httpd", "sleep", "kill", "mkdir"] {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).expect("a link");
        }
        let tar = self.dir.path().join("root.tar");
        let made = Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&tar).arg(".").status();
        made.is_ok_and(|status| status.success())
            && self.docker(&["import", &tar.to_string_lossy(), "busybox"]).0
    }

    /// A command of the client: whether it succeeded, and what it printed.
    pub fn docker(&self, args: &[&str]) -> (bool, String) {
        let host = format!("unix://{}", self.socket().display());
        let output = Command::new("docker").args(args).env("DOCKER_HOST", host).output().expect("docker");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success(), text + &String::from_utf8_lossy(&output.stderr))
    }

    /// Runs a container of a pool of `web` that serves its name on port 3000, once `ready` (a shell command) has ended, and
    /// answers what is under way when it is stopped.
    #[track_caller]
    pub fn run(&self, name: &str, pool: &str, ready: &str) {
        let serve = format!(
            "trap 'sleep 0.3; exit 0' TERM; mkdir -p /www; echo {name} > /www/index.html; {ready}; httpd -p 3000 -h /www; \
             while true; do sleep 1000 & wait; done"
        );
        let pool = format!("pointsman.pool={pool}");
        let labels = ["--label", "pointsman.service=web", "--label", &pool, "--label", "pointsman.port=3000"];
        let mut args = vec!["run", "--detach", "--name", name, "--network", "app"];
        args.extend(labels);
        args.extend(["busybox", "/bin/sh", "-c", &serve]);
        let (ran, text) = self.docker(&args);
        assert!(ran, "{text}\n{}", self.log());
    }

    #[track_caller]
    pub fn does(&self, args: &[&str]) {
        let (done, text) = self.docker(args);
        assert!(done, "docker {args:?}: {text}");
    }

    /// The daemon ends; its containers go on.
    pub fn ends(&mut self) {
        let _ = Command::new("kill").arg(self.daemon.id().to_string()).status();
        let _ = self.daemon.wait();
    }

    pub fn comes_back(&mut self) {
        self.daemon = spawn(self.dir.path());
        assert!(self.answers(), "{}", self.log());
    }

    fn log(&self) -> String {
        let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

fn spawn(dir: &Path) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(dir.join("log")).expect("a file");
    let at = |name: &str| dir.join(name).display().to_string();
    Command::new("dockerd")
        .args(["--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("pid")])
        .args(["--host", &format!("unix://{}", at("s")), "--storage-driver", "vfs", "--live-restore"])
        .args(["--iptables=false", "--ip6tables=false", "--bridge=none"])
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("dockerd")
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        let (_, all) = self.docker(&["ps", "--all", "--quiet"]);
        for id in all.split_whitespace() {
            self.docker(&["rm", "--force", id]);
        }
        self.docker(&["network", "rm", "app"]);
        if self.daemon.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _ = Command::new("kill").arg(self.daemon.id().to_string()).status();
            let _ = self.daemon.wait();
        }
        // With live restore, containerd outlives the daemon.
        if let Ok(pid) = std::fs::read_to_string(self.dir.path().join("exec/containerd/containerd.pid")) {
            let _ = Command::new("kill").arg(pid.trim()).status();
        }
    }
}
