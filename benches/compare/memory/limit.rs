//! A limit of memory: a control group where the system lets us make one, else what is read off.

use crate::process::Process;
use std::path::{Path, PathBuf};

const ROOT: &str = "/sys/fs/cgroup";

/// A control group (v2); removed when dropped, by when its processes must have ended.
pub(super) struct Group(PathBuf);

impl Group {
    /// Puts a process that runs into a group of its own. What it holds by then counts, too: the kernel
    /// charges it to the group before, so the limit is lowered by it.
    ///
    /// `None` without cgroup v2, without its memory controller, and without the right to make a group.
    pub(super) fn around(process: &Process, limit_kib: f64) -> Option<Self> {
        let root = Path::new(ROOT);
        let controllers = std::fs::read_to_string(root.join("cgroup.subtree_control")).ok()?;
        controllers.split_whitespace().find(|name| *name == "memory")?;
        let dir = root.join(format!("pointsman-bench-{}", std::process::id()));
        std::fs::create_dir(&dir).ok()?;
        let group = Group(dir);
        let bytes = (limit_kib - process.rss_kib()) as u64 * 1024;
        std::fs::write(group.0.join("memory.max"), bytes.to_string()).ok()?;
        // Where the kernel counts swap at all.
        let _ = std::fs::write(group.0.join("memory.swap.max"), "0");
        for pid in process.ids() {
            std::fs::write(group.0.join("cgroup.procs"), pid.to_string()).ok()?;
        }
        Some(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}
