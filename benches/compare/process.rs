//! Processes under test: each on its CPUs, with its CPU time and memory by the kernel's account, and
//! stopped by its own id.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The longest wait for what will surely happen.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Clock ticks a second in `/proc`: 100 on Linux.
const TICK_US: f64 = 10_000.0;

/// A process and the directory with its files; the process is stopped when dropped.
pub(super) struct Process {
    child: Child,
    _dir: TempDir,
}

impl Process {
    /// `cpus` is a list as `taskset` takes it.
    pub(super) fn start(dir: TempDir, cpus: &str, program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new("taskset");
        command.args(["-c", cpus, program]).args(arguments).current_dir(Path::new("/"));
        command.stdout(Stdio::null()).stderr(errors());
        Process { child: command.spawn().expect("taskset"), _dir: dir }
    }

    pub(super) fn is_alive(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|ended| ended.is_none())
    }

    /// Of the process, and of those that it has started.
    pub(super) fn ids(&self) -> Vec<u32> {
        family(self.child.id())
    }

    /// User and system time so far.
    pub(super) fn cpu_us(&self) -> f64 {
        let ticks = |pid: &u32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
            let field = |index: usize| fields.get(index).and_then(|text| text.parse::<u64>().ok());
            field(11).unwrap_or(0) + field(12).unwrap_or(0)
        };
        self.ids().iter().map(ticks).sum::<u64>() as f64 * TICK_US
    }

    /// Memory in use now.
    pub(super) fn rss_kib(&self) -> f64 {
        // The sum in `status` lags by some pages for each CPU; this one is counted when asked for.
        self.kib("smaps_rollup", "Rss:")
    }

    /// The most memory in use at a time so far.
    pub(super) fn peak_kib(&self) -> f64 {
        self.kib("status", "VmHWM:")
    }

    fn kib(&self, file: &str, key: &str) -> f64 {
        let of = |pid: &u32| {
            let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
            line.split_whitespace().find_map(|word| word.parse::<f64>().ok()).unwrap_or(0.0)
        };
        self.ids().iter().map(of).sum()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGTERM, so that a master takes its workers along.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let since = Instant::now();
        while self.is_alive() {
            if since.elapsed() > PATIENCE {
                let _ = self.child.kill();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// `KEEP_ERRORS=1` shows what the processes say.
fn errors() -> Stdio {
    match std::env::var_os("KEEP_ERRORS") {
        Some(_) => Stdio::inherit(),
        None => Stdio::null(),
    }
}

/// A process and the children of its main thread, and so on.
fn family(pid: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    std::iter::once(pid).chain(children.flat_map(family)).collect()
}

/// Which CPUs the parts of a run have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cpus {
    pub proxy: &'static str,
    pub load: &'static str,
    pub origin: &'static str,
}

impl Cpus {
    /// One for the proxy; load and origin beside it, where there is another one.
    pub(super) fn for_one_worker() -> Self {
        match count() {
            1 => Cpus { proxy: "0", load: "0", origin: "0" },
            2 | 3 => Cpus { proxy: "0", load: "1", origin: "1" },
            _ => Cpus { proxy: "0", load: "2", origin: "3" },
        }
    }

    /// Two for the proxy. Load and origin share them where there are no others.
    pub(super) fn for_two_workers() -> Self {
        match count() {
            1 => Cpus::for_one_worker(),
            2 | 3 => Cpus { proxy: "0,1", load: "0,1", origin: "0,1" },
            _ => Cpus { proxy: "0,1", load: "2", origin: "3" },
        }
    }
}

fn count() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The processor and how many there are, for the heading.
pub(super) fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    format!("{} × {}", count(), model.trim_start_matches([' ', '\t', ':']))
}

pub(super) fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port")
}

pub(super) fn await_listening(address: SocketAddr) {
    let since = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(since.elapsed() < PATIENCE, "nothing listens on {address}; KEEP_ERRORS=1 shows why");
        std::thread::sleep(Duration::from_millis(10));
    }
}
