//! Who is compared, and the origin: nginx with fixed bodies. Each listens on ports of the system's choice.

use super::configs::{self, Places, Setup};
use super::process::{Cpus, PATIENCE, Process, await_listening, free_port};
use super::tls::Certificate;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// One of those compared. Who stands first is 1.00.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Contender {
    Nginx,
    Haproxy,
    Pointsman { binary: PathBuf, label: String },
}

impl Contender {
    /// nginx, haproxy where it is installed, and each binary.
    pub(super) fn all(binaries: &[PathBuf]) -> Vec<Self> {
        let mut all = vec![Contender::Nginx];
        let version = Command::new("haproxy").arg("-v").stdout(Stdio::null()).status();
        all.extend(version.is_ok_and(|status| status.success()).then_some(Contender::Haproxy));
        let pointsman = |binary: &PathBuf| Contender::Pointsman {
            binary: binary.clone(),
            label: match binaries.len() {
                1 => "pointsman".to_owned(),
                _ => label(binary, binaries),
            },
        };
        all.extend(binaries.iter().map(pointsman));
        all
    }

    pub(super) fn label(&self) -> &str {
        match self {
            Contender::Nginx => "nginx",
            Contender::Haproxy => "haproxy",
            Contender::Pointsman { label, .. } => label,
        }
    }

    /// haproxy writes its log to a syslog server, which would be another process to count.
    pub(super) fn takes_part(&self, setup: Setup) -> bool {
        *self != Contender::Haproxy || !setup.is_logged
    }
}

/// The name of a file, or its whole path where another one has that name.
fn label(binary: &Path, all: &[PathBuf]) -> String {
    let same = all.iter().filter(|other| other.file_name() == binary.file_name()).count();
    let name = binary.file_name().filter(|_| same == 1).map(Path::new).unwrap_or(binary);
    name.display().to_string()
}

/// Paths of the origin, and how long their bodies are. Other paths answer POST.
const FILES: [(&str, u64); 5] =
    [("small", 100), ("10k", 10 << 10), ("64k", 64 << 10), ("1m", 1 << 20), ("50m", 50 << 20)];

pub(super) struct Origin {
    pub address: SocketAddr,
    _process: Process,
}

impl Origin {
    pub(super) fn start(cpus: Cpus) -> Self {
        let dir = directory();
        for (name, length) in FILES {
            let file = std::fs::File::create(dir.path().join(name)).expect("a file");
            file.set_len(length).expect("a length");
        }
        let address = free_port();
        let root = dir.path().display();
        let server = format!(
            "access_log off; open_file_cache max=10;\n\
             server {{ listen {address} backlog=4096; root {root}; location = /post {{ return 200 \"taken\"; }} }}"
        );
        let process = start_nginx(dir, cpus.origin, |path| configs::nginx(path, 1, &server));
        await_listening(address);
        Origin { address, _process: process }
    }
}

/// A running proxy.
pub(super) struct Running {
    pub contender: Contender,
    pub plain: SocketAddr,
    pub tls: SocketAddr,
    pub process: Process,
}

impl Running {
    pub(super) fn start(contender: &Contender, origin: SocketAddr, setup: Setup, cpus: Cpus) -> Self {
        let dir = directory();
        let certificate = Certificate::write(dir.path());
        let [plain, tls, admin] = [(); 3].map(|()| free_port());
        let places = Places { plain, tls, admin, upstream: origin };
        let process = match contender {
            Contender::Nginx => {
                start_nginx(dir, cpus.proxy, |path| configs::nginx_proxy(path, &places, &certificate, setup))
            }
            Contender::Haproxy => {
                let text = configs::haproxy(&places, &certificate, setup);
                let file = written(&dir, &text);
                Process::start(dir, cpus.proxy, "haproxy", &["-db", "-q", "-f", &file])
            }
            Contender::Pointsman { binary, .. } => {
                let text = configs::pointsman(&places, &certificate, setup);
                start_pointsman(dir, cpus.proxy, binary, admin, &text)
            }
        };
        await_listening(plain);
        await_listening(tls);
        Running { contender: contender.clone(), plain, tls, process }
    }
}

fn start_nginx(dir: TempDir, cpus: &str, configuration: impl Fn(&str) -> String) -> Process {
    let path = dir.path().display().to_string();
    let file = written(&dir, &configuration(&path));
    let log = format!("{path}/error.log");
    Process::start(dir, cpus, "nginx", &["-e", &log, "-p", &path, "-c", &file])
}

/// With a rollout under way.
fn start_pointsman(dir: TempDir, cpus: &str, binary: &Path, admin: SocketAddr, text: &str) -> Process {
    let (program, file) = (binary.display().to_string(), written(&dir, text));
    let process = Process::start(dir, cpus, &program, &["run", "--config", &file]);
    await_listening(admin);
    let started = Command::new(binary)
        .args(["rollout", "start", "web", "--to", "green", "--admin", &format!("http://{admin}")])
        .stdout(Stdio::null())
        .status();
    assert!(started.expect("the binary").success());
    await_half(admin);
    process
}

/// Waits until the candidate has its half.
fn await_half(admin: SocketAddr) {
    let half = || {
        let mut stream = TcpStream::connect(admin).ok()?;
        stream
            .write_all(b"GET /v1/services/web HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let view: serde_json::Value = serde_json::from_str(text.split("\r\n\r\n").nth(1)?).ok()?;
        (view["pools"]["green"]["weight"].as_f64()? == 50.0).then_some(())
    };
    let since = Instant::now();
    while half().is_none() {
        assert!(since.elapsed() < PATIENCE, "the candidate gets no traffic");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn written(dir: &TempDir, text: &str) -> String {
    let file = dir.path().join("configuration");
    std::fs::write(&file, text).expect("a file");
    file.display().to_string()
}

/// A directory that nginx's workers can read, who run as another user.
fn directory() -> TempDir {
    let dir = TempDir::new().expect("a directory");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(dir.path(), open).expect("permissions");
    dir
}
