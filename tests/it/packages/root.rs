//! A root of files in which programs run as if there were no other: Debian's, or an image's.

use super::super::harness::eventually;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Holds the mounts: `/proc` and `/dev`, as a container has them, and one folder of ours at the same path as here.
const HOLD: &str = "set -e; root=$1; dir=$2; mkdir -p \"$root/proc\" \"$root/dev\" \"$root$dir\"; \
                    mount -t proc proc \"$root/proc\"; mount --rbind /dev \"$root/dev\"; \
                    mount --bind \"$dir\" \"$root$dir\"; touch \"$dir/held\"; exec tail -f /dev/null";

pub(super) struct Root {
    files: TempDir,
    /// All programs of the root run among its mounts, which end with it.
    holder: Child,
}

impl Root {
    /// A copy of a folder, or an empty one; `shared` is what both sides see.
    pub(super) fn of(from: Option<&Path>, shared: &Path) -> Self {
        let files = TempDir::new().expect("a directory");
        if let Some(from) = from {
            run(Command::new("cp").arg("-a").arg(from.join(".")).arg(files.path()));
        }
        // It is made for its owner alone; users in it have to pass.
        run(Command::new("chmod").arg("755").arg(files.path()));
        let mut holder = Command::new("unshare");
        holder.args(["-m", "sh", "-c", HOLD, "sh"]).arg(files.path()).arg(shared).stdin(Stdio::null());
        let holder = holder.spawn().expect("unshare");
        eventually("the mounts are made", || shared.join("held").exists());
        Root { files, holder }
    }

    pub(super) fn path(&self, inner: &str) -> PathBuf {
        self.files.path().join(inner.trim_start_matches('/'))
    }

    /// A program of the root, run by root; more arguments may follow.
    pub(super) fn command(&self, words: &[&str]) -> Command {
        self.command_of((0, 0), words)
    }

    /// The same by a user.
    pub(super) fn command_of(&self, user: (u32, u32), words: &[&str]) -> Command {
        self.entered(&[], user, words)
    }

    /// The same with no network but its own loopback.
    pub(super) fn alone(&self, user: (u32, u32), words: &[&str]) -> Command {
        self.entered(&["unshare", "-n", "sh", "-c", "ip link set lo up; exec \"$@\"", "sh"], user, words)
    }

    fn entered(&self, before: &[&str], (user, group): (u32, u32), words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.holder.id().to_string(), "-m"]).args(before);
        command.args(["chroot", &format!("--userspec={user}:{group}")]).arg(self.files.path()).args(words);
        command.env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C");
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    /// What a program of the root printed, both kinds; it must end well.
    #[track_caller]
    pub(super) fn run(&self, words: &[&str]) -> String {
        run(&mut self.command(words))
    }

    /// The numbers of a user in it.
    #[track_caller]
    pub(super) fn user(&self, name: &str) -> (u32, u32) {
        let passwd = std::fs::read_to_string(self.path("etc/passwd")).expect("a file");
        let line = passwd.lines().find(|line| line.starts_with(&format!("{name}:"))).expect("the user");
        let fields: Vec<&str> = line.split(':').collect();
        let number = |index: usize| fields[index].parse().expect("a number");
        (number(2), number(3))
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

#[track_caller]
pub(super) fn run(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    let text =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    let program: Vec<&OsStr> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
    assert!(output.status.success(), "{program:?}: {text}");
    text
}

/// The one file of a release whose name ends so.
#[track_caller]
pub(super) fn released(ending: &str) -> PathBuf {
    let dist = super::root().join("target/dist");
    let entries = std::fs::read_dir(&dist).unwrap_or_else(|_| panic!("no target/dist: make dist makes it"));
    let mut found = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let file = found.find(|path| path.to_string_lossy().ends_with(ending));
    file.unwrap_or_else(|| panic!("no {ending} in target/dist: make dist"))
}
