//! How much memory the process may have, and what of it is for whom.
//!
//! That is the limit of its control group, or a share of the machine's memory where there is none. Half of it is for
//! connections of clients, a quarter for bodies and unread answers; the rest is what the process holds by itself.

use crate::core::settings::ProcessLimits;
use std::path::Path;

/// Where nothing says how much there is.
const UNKNOWN: u64 = 1 << 30;

/// What is for whom, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Budget {
    /// Connections of clients, and their requests beside bodies.
    pub connections: u64,
    pub bodies: usize,
}

/// By what the system allows.
pub(super) fn budget(limits: &ProcessLimits) -> Budget {
    let available = available(Path::new("/"));
    let budget = shared_out(available, limits.memory);
    if limits.memory.is_some_and(|wanted| wanted > available / 4 * 3) {
        tracing::warn!(
            "limits.memory is more than three quarters of the {} MiB that this process may have; raise the limit of \
             its control group (mem_limit, MemoryMax) or lower it",
            available >> 20
        );
    }
    tracing::info!(
        "memory: {} MiB for bodies and unread answers, {} MiB for connections, of {} MiB",
        budget.bodies >> 20,
        budget.connections >> 20,
        available >> 20
    );
    budget
}

fn shared_out(available: u64, wanted: Option<u64>) -> Budget {
    let bodies = wanted.unwrap_or(available / 4);
    let connections = (available / 4 * 3).saturating_sub(bodies).max(available / 8);
    Budget { connections, bodies: usize::try_from(bodies).unwrap_or(usize::MAX) }
}

/// The least of what the control groups above this process allow; two thirds of the machine's memory where they allow
/// all of it.
fn available(root: &Path) -> u64 {
    let machine = read(&root.join("proc/meminfo")).and_then(|text| total(&text)).unwrap_or(UNKNOWN);
    let groups = read(&root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().filter_map(|line| limit(root, line));
    limits.filter(|limit| *limit < machine).min().unwrap_or(machine / 3 * 2)
}

/// The limit of one line of `/proc/self/cgroup`, and of the groups above it: of version 2, or of memory in version 1.
fn limit(root: &Path, line: &str) -> Option<u64> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, path) = (parts.next()?, parts.next()?.trim_start_matches('/'));
    let (mount, file) = match controllers {
        "" => ("sys/fs/cgroup", "memory.max"),
        names if names.split(',').any(|name| name == "memory") => {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return None,
    };
    // Within a container, the path may be one of the host's: its own group is what is mounted.
    let groups =
        Path::new(path).ancestors().filter_map(|group| read(&root.join(mount).join(group).join(file)));
    groups.filter_map(|text| text.trim().parse().ok()).min()
}

fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// `MemTotal` in bytes.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// A machine of 8 GiB with these files, and what is available on it in MiB.
    fn of(files: &[(&str, &str)]) -> u64 {
        let root = tempfile::tempdir().expect("a directory");
        let meminfo = ("proc/meminfo", "MemTotal:        8388608 kB\nMemFree: 1 kB\n");
        for (name, text) in files.iter().chain([&meminfo]) {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, text).expect("written");
        }
        available(root.path()) / MIB
    }

    #[test]
    fn the_closest_limit_of_a_control_group_holds() {
        let two = ("proc/self/cgroup", "0::/system.slice/pointsman.service\n");
        let own = ("sys/fs/cgroup/system.slice/pointsman.service/memory.max", "268435456\n");
        let above = ("sys/fs/cgroup/system.slice/memory.max", "134217728\n");
        let none = ("sys/fs/cgroup/system.slice/memory.max", "max\n");
        assert_eq!((of(&[two, own, none]), of(&[two, own, above]), of(&[two, none])), (256, 128, 5461));
        // A container sees its group alone.
        assert_eq!(of(&[("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/memory.max", "268435456\n")]), 256);
        let one = ("proc/self/cgroup", "9:name=systemd:/\n4:memory:/docker/abc\n1:cpu:/\n0::/\n");
        let mounted = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "268435456\n");
        let unlimited = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!((of(&[one, mounted]), of(&[one, unlimited]), of(&[])), (256, 5461, 5461));
    }

    #[test]
    fn what_is_for_bodies_is_not_for_connections() {
        let of = |wanted: Option<u64>| shared_out(256 * MIB, wanted.map(|mib| mib * MIB));
        assert_eq!(of(None), Budget { connections: 128 * MIB, bodies: 64 << 20 });
        assert_eq!(of(Some(96)), Budget { connections: 96 * MIB, bodies: 96 << 20 });
        assert_eq!(of(Some(192)), Budget { connections: 32 * MIB, bodies: 192 << 20 });
    }
}
