//! The three proxies and their origin, each on a port of the system's choice, stopped by its own id.

use super::measure::other_cpu;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Nginx,
    Haproxy,
    Pointsman,
}

impl Kind {
    pub(super) const ALL: [Kind; 3] = [Kind::Nginx, Kind::Haproxy, Kind::Pointsman];

    pub(super) fn label(self) -> &'static str {
        match self {
            Kind::Nginx => "nginx",
            Kind::Haproxy => "haproxy",
            Kind::Pointsman => "pointsman",
        }
    }
}

/// nginx with two files.
pub(super) struct Origin {
    address: SocketAddr,
    _process: Process,
}

impl Origin {
    pub(super) fn start() -> Self {
        let dir = TempDir::new().expect("a directory");
        std::fs::write(dir.path().join("small"), "x".repeat(100)).expect("a file");
        std::fs::write(dir.path().join("10k"), "x".repeat(10 * 1024)).expect("a file");
        // The workers run as another user, who must be able to read.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(dir.path(), open).expect("permissions");
        let address = free_port();
        let root = dir.path().display();
        let server = format!(
            "server {{ listen {address} backlog=4096; root {root}; keepalive_requests 100000000; open_file_cache max=10; }}"
        );
        let process = nginx(dir, &server, other_cpu());
        await_listening(address);
        Origin { address, _process: process }
    }
}

/// A running proxy.
pub(super) struct Running {
    pub kind: Kind,
    pub address: SocketAddr,
    process: Process,
}

impl Running {
    /// `None` where the program is not installed.
    pub(super) fn start(kind: Kind, origin: &Origin) -> Option<Self> {
        let dir = TempDir::new().expect("a directory");
        let address = free_port();
        let upstream = origin.address;
        let process = match kind {
            Kind::Nginx => {
                let server = format!(
                    "upstream o {{ server {upstream}; keepalive 1024; keepalive_requests 100000000; }}\n\
                     server {{ listen {address} backlog=4096; keepalive_requests 100000000;\n\
                     location / {{ proxy_pass http://o; proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
                     proxy_set_header Host $host; proxy_set_header X-Real-IP $remote_addr;\n\
                     proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme; }} }}"
                );
                nginx(dir, &server, "0")
            }
            Kind::Haproxy => {
                Command::new("haproxy").arg("-v").stdout(Stdio::null()).status().ok()?;
                haproxy(dir, address, upstream)
            }
            Kind::Pointsman => pointsman(dir, address, upstream),
        };
        await_listening(address);
        Some(Running { kind, address, process })
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.child.id()
    }
}

fn nginx(dir: TempDir, server: &str, cpu: &str) -> Process {
    let path = dir.path().display().to_string();
    let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {path}/{kind};"));
    let conf = format!(
        "worker_processes 1; daemon off; pid {path}/pid; error_log {path}/error.log;\n\
         events {{ worker_connections 8192; }}\n\
         http {{ access_log off; sendfile on; tcp_nopush on; {}\n{server}\n}}\n",
        temp.concat()
    );
    let file = dir.path().join("nginx.conf");
    std::fs::write(&file, conf).expect("a file");
    let (file, log) = (file.display().to_string(), format!("{path}/error.log"));
    Process::start(dir, cpu, "nginx", &["-e", &log, "-p", &path, "-c", &file])
}

fn haproxy(dir: TempDir, address: SocketAddr, upstream: SocketAddr) -> Process {
    let conf = format!(
        "global\n nbthread 1\n maxconn 8192\n\
         defaults\n mode http\n timeout connect 1s\n timeout client 60s\n timeout server 60s\n option forwardfor\n http-reuse always\n\
         frontend f\n bind {address}\n default_backend b\n\
         backend b\n server o {upstream} maxconn 4096 pool-max-conn -1\n"
    );
    let file = dir.path().join("haproxy.cfg");
    std::fs::write(&file, conf).expect("a file");
    let file = file.display().to_string();
    Process::start(dir, "0", "haproxy", &["-db", "-q", "-f", &file])
}

/// With a rollout under way at 50 %, so that every outcome is held against the policy.
fn pointsman(dir: TempDir, address: SocketAddr, upstream: SocketAddr) -> Process {
    let admin = free_port();
    let conf = format!(
        "[server]\nthreads = 1\nstate_dir = \"state\"\n[admin]\nlisten = \"{admin}\"\n\
         [[listeners]]\naddress = \"{address}\"\nlimits = {{ requests_per_connection = 100000000 }}\n\
         [[routes]]\nservice = \"web\"\n\
         [services.web]\nstable = \"blue\"\npolicy = \"default\"\n\
         [services.web.pools.blue]\nupstreams = [\"{upstream}\"]\n\
         [services.web.pools.green]\nupstreams = [\"{upstream}\"]\n\
         [services.web.rollout]\nsteps = [{{ weight = 50, hold = \"7d\" }}, {{ weight = 100 }}]\n\
         [policies.default]\nerror_rate = {{ warning = \"0.5%\", critical = \"1%\" }}\nlatency_p95 = {{ warning = \"1s\", critical = \"2s\" }}\n"
    );
    let file = dir.path().join("pointsman.toml");
    std::fs::write(&file, conf).expect("a file");
    let (binary, file) = (env!("CARGO_BIN_EXE_pointsman"), file.display().to_string());
    let process = Process::start(dir, "0", binary, &["run", "--config", &file]);
    await_listening(admin);
    let started = Command::new(binary)
        .args(["rollout", "start", "web", "--to", "green", "--admin", &format!("http://{admin}")])
        .stdout(Stdio::null())
        .status();
    assert!(started.expect("the binary").success());
    process
}

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port")
}

fn await_listening(address: SocketAddr) {
    let since = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(since.elapsed() < PATIENCE, "nothing listens on {address}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A process on one CPU; stopped when dropped.
struct Process {
    child: Child,
    _dir: TempDir,
}

impl Process {
    fn start(dir: TempDir, cpu: &str, program: &str, arguments: &[&str]) -> Self {
        let child = Command::new("taskset")
            .args(["-c", cpu, program])
            .args(arguments)
            .current_dir(Path::new("/"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("taskset");
        Process { child, _dir: dir }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGTERM, so that a master takes its workers along.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let since = Instant::now();
        while self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            if since.elapsed() > PATIENCE {
                let _ = self.child.kill();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
