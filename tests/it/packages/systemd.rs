//! The package on a whole machine: Debian with systemd, booted in namespaces of its own, and its network with it.

use super::super::harness::{Wrk, eventually, wrk_by};
use super::debian::debian;
use super::root::{Root, run};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A booted Debian; powered off when dropped.
struct Machine {
    debian: Root,
    container: Child,
    /// Its first process, by the number that it has here.
    init: u32,
}

impl Machine {
    fn boot(debian: Root) -> Self {
        let container = Command::new("systemd-nspawn")
            .args(["--quiet", "--boot", "--register=no", "--keep-unit", "--private-network", "-D"])
            .arg(debian.path(""))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("systemd-nspawn: make setup-packages");
        // The first child may be one that only makes the namespaces.
        let children = format!("/proc/{0}/task/{0}/children", container.id());
        let first = || -> Option<u32> {
            let pid = std::fs::read_to_string(&children).ok()?.split_whitespace().next()?.parse().ok()?;
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
            (name == "systemd\n").then_some(pid)
        };
        let mut init = None;
        eventually("a first process", || {
            init = first();
            init.is_some()
        });
        let init = init.expect("found");
        let machine = Machine { debian, container, init };
        eventually("it is up", || machine.tried(&["systemctl", "is-active", "multi-user.target"]).0);
        machine
    }

    /// A command of the machine.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.init.to_string(), "-m", "-u", "-i", "-n", "-p", "-r", "-w"]).args(words);
        command.env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C");
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    fn run(&self, words: &[&str]) -> String {
        run(&mut self.command(words))
    }

    /// Whether it ended well, and what it printed.
    fn tried(&self, words: &[&str]) -> (bool, String) {
        let output = self.command(words).output().expect("nsenter");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// A command of ours in its network.
    fn near(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.init.to_string(), "-n", program]);
        command
    }

    fn page(&self) -> String {
        let output = self.near("curl").args(["-s", "http://127.0.0.1:8080/"]).output().expect("curl");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn unit(&self, property: &str) -> String {
        self.tried(&["systemctl", "show", "-p", property, "--value", "pointsman"]).1
    }

    /// An origin in its network, until it is dropped.
    fn origin(&self, address: &str) -> Origin {
        let dir = TempDir::new().expect("a directory");
        let config = format!(
            "daemon off; worker_processes 1; pid {0}/pid; error_log stderr; events {{}}\n\
             http {{ access_log off; server {{ listen {address}; location / {{ return 200 \"blue\"; }} }} }}\n",
            dir.path().display()
        );
        std::fs::write(dir.path().join("nginx.conf"), config).expect("written");
        let mut nginx = self.near("nginx");
        nginx.arg("-c").arg(dir.path().join("nginx.conf")).stderr(Stdio::null());
        Origin { _dir: dir, nginx: nginx.spawn().expect("nginx") }
    }

    fn load(&self) -> Wrk {
        wrk_by(self.near("wrk"), SocketAddr::from(([127, 0, 0, 1], 8080)), 16, 120)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // systemd-nspawn has it shut down.
        let _ = Command::new("kill").arg(self.container.id().to_string()).status();
        let _ = self.container.wait();
    }
}

/// A running nginx; it stops at SIGTERM, its workers with it.
struct Origin {
    _dir: TempDir,
    nginx: Child,
}

impl Drop for Origin {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.nginx.id().to_string()).status();
        let _ = self.nginx.wait();
    }
}

const SITE: &str = "[server]\nstate_dir = \"/var/lib/pointsman\"\n[admin]\nlisten = \"127.0.0.1:9900\"\n\
                    tokens = [{ name = \"ci\", role = \"deploy\", sha256 = \
                    \"0000000000000000000000000000000000000000000000000000000000000000\" }]\n\
                    [[listeners]]\naddress = \"127.0.0.1:8080\"\n[[routes]]\nservice = \"web\"\n\
                    [services.web]\nupstreams = [\"127.0.0.1:3000\"]\n";

#[test]
#[ignore = "needs root, and a release: make test-packages"]
fn a_unit_is_started_upgraded_under_load_and_stopped() {
    let shared = TempDir::new().expect("a directory");
    let machine = Machine::boot(debian(shared.path()));
    machine.run(&["apt-get", "install", "-y", "/srv/old.deb"]);
    eventually("the unit is started", || machine.unit("ActiveState") == "active");
    assert!(machine.page().contains("Pointsman is installed"), "{}", machine.page());
    assert_eq!(machine.tried(&["systemctl", "is-enabled", "pointsman"]).1, "enabled");
    machine.run(&["pointsman", "check"]);
    machine.run(&["pointsman", "status"]);

    // With tokens, which nobody has given to apt-get.
    let _origin = machine.origin("127.0.0.1:3000");
    std::fs::write(machine.debian.path("etc/pointsman/pointsman.toml"), SITE).expect("written");
    machine.run(&["systemctl", "restart", "pointsman"]);
    eventually("it serves its service", || machine.page() == "blue");
    let (load, before) = (machine.load(), machine.unit("MainPID"));
    let printed =
        machine.run(&["apt-get", "install", "-y", "-o", "Dpkg::Options::=--force-confold", "/srv/new.deb"]);
    let after = machine.unit("MainPID");
    assert!(
        printed.contains(&format!("process {after} has taken over from {before}")),
        "{before}, {after}: {printed}"
    );
    let binary = machine.run(&["readlink", &format!("/proc/{after}/exe")]);
    assert_eq!(binary.trim(), "/usr/bin/pointsman", "the new one");
    let gone = || {
        !machine.debian.path(&format!("proc/{before}")).exists() && !machine.tried(&["kill", "-0", &before]).0
    };
    eventually("the old process has finished", gone);
    let seen = load.stop();
    println!("an upgrade of the unit by apt-get: wrk {seen:?}");
    assert!(seen.requests > 1000 && (seen.failed, seen.socket_errors) == (0, 0), "{seen:?}");
    assert_eq!((machine.unit("ActiveState"), machine.unit("NRestarts")), ("active".into(), "0".into()));

    machine.run(&["apt-get", "remove", "-y", "pointsman"]);
    assert_eq!((machine.unit("ActiveState").as_str(), machine.page().as_str()), ("inactive", ""));
    machine.run(&["apt-get", "purge", "-y", "pointsman"]);
    assert!(!machine.debian.path("var/lib/pointsman").exists());
}
