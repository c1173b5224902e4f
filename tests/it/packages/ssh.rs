//! A deploy by ssh, as docs/ci.md has it: a real sshd, and a key that may do no more.

use super::super::harness::{Nginx, Pointsman, Printed, eventually};
use super::root::run;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A running sshd with one key that `ssh-command.sh web` belongs to; stopped when dropped.
struct Sshd {
    dir: TempDir,
    address: SocketAddr,
    child: Child,
}

impl Sshd {
    fn start(pointsman: &Pointsman, token: &str) -> Self {
        let dir = TempDir::new().expect("a directory");
        let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
        for key in ["host", "key"] {
            run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &path(key)]));
        }
        std::fs::write(dir.path().join(".pointsman-token"), token).expect("written");
        let public = std::fs::read_to_string(path("key.pub")).expect("a key");
        let script = super::root().join("conf/ci/ssh-command.sh");
        let binaries = Path::new(env!("CARGO_BIN_EXE_pointsman")).parent().expect("a folder");
        let line = format!(
            "restrict,command=\"env PATH={}:$PATH HOME={} POINTSMAN_ADMIN=http://{} {} web\" {public}",
            binaries.display(),
            dir.path().display(),
            pointsman.admin,
            script.display()
        );
        std::fs::write(path("keys"), line).expect("written");
        let address = TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a port");
        let config = format!(
            "Port {}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\n\
             PidFile none\nPermitRootLogin forced-commands-only\nPasswordAuthentication no\n",
            address.port(),
            path("host"),
            path("keys")
        );
        std::fs::write(path("sshd_config"), config).expect("written");
        run(Command::new("mkdir").args(["-p", "/run/sshd"]));
        let child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f", &path("sshd_config")])
            .stderr(Stdio::null())
            .spawn()
            .expect("sshd: make setup-packages");
        eventually("sshd listens", || TcpStream::connect(address).is_ok());
        Sshd { dir, address, child }
    }

    /// `ssh deploy@prod WORDS`.
    fn ssh(&self, words: &str) -> Printed {
        let key = self.dir.path().join("key");
        let output = Command::new("ssh")
            .args(["-q", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"])
            .args(["-o", "UserKnownHostsFile=/dev/null", "-o", "IdentitiesOnly=yes", "-i"])
            .arg(&key)
            .args(["-p", &self.address.port().to_string(), "root@127.0.0.1", words])
            .stdin(Stdio::null())
            .output()
            .expect("ssh");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Printed {
            code: output.status.code().unwrap_or(-1),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "needs root, and sshd: make test-packages"]
fn a_deploy_by_ssh_waits_for_its_end_and_may_do_no_more() {
    let nginx = Nginx::start(&["blue", "green", "fresh"]);
    let made = Printed::of(
        &["token", "new", "--name", "ci", "--role", "deploy", "--output", "json"],
        Path::new("/"),
    );
    let token: serde_json::Value = serde_json::from_str(&made.out).expect("JSON");
    let pointsman = Pointsman::start(&format!(
        "[admin]\nlisten = \"127.0.0.1:0\"\ntokens = [{{ name = \"ci\", role = \"deploy\", sha256 = {} }}]\n\
         [services.web]\nstable = \"blue\"\npolicy = \"default\"\n\
         [services.web.pools.blue]\nupstreams = [\"{}\"]\n[services.web.pools.green]\nupstreams = [\"{}\"]\n\
         [services.web.rollout]\nsteps = [{{ weight = 100 }}]\nbake = \"0s\"\nmin_attempts = 0\n\
         [policies.default]\nerror_rate = {{ critical = \"1%\" }}\n",
        token["sha256"], nginx.addresses[0], nginx.addresses[1]
    ));
    let sshd = Sshd::start(&pointsman, token["token"].as_str().expect("a token"));
    let fresh = nginx.addresses[2];
    let deployed =
        sshd.ssh(&format!("pointsman deploy web --upstreams {fresh} --version v2 --wait --timeout 60s"));
    assert_eq!(deployed.code, 0, "{deployed:?}");
    assert!(deployed.out.contains("promoted"), "{deployed:?}");
    let status = sshd.ssh("pointsman status web");
    assert!(status.code == 0 && status.out.contains("v2 on green"), "{status:?}");
    for refused in [
        "id",
        "pointsman token new --name x --role admin",
        "pointsman status web; id",
        "pointsman flip web --to blue",
    ] {
        let printed = sshd.ssh(refused);
        assert!(printed.code == 2 && printed.err.contains("refused: "), "{refused}: {printed:?}");
    }
}
