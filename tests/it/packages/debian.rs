//! The .deb in a fresh Debian: installed, upgraded under load, removed.

use super::super::harness::{Load, Nginx, Pointsman, blue_green, eventually, get, whole, wrk};
use super::root::{Root, released, run};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

const SETTINGS: &str = "etc/pointsman/pointsman.toml";

/// A Debian with nothing of ours, and the package twice: as it is, and as if it were of a version before.
pub(super) fn debian(shared: &Path) -> Root {
    let debian = Root::of(Some(&super::root().join("target/debian-root")), shared);
    let package = released(".deb");
    std::fs::copy(&package, debian.path("srv/new.deb")).expect("copied");
    let before = debian.path("srv/before");
    run(Command::new("dpkg-deb").arg("-R").arg(&package).arg(&before));
    let control = before.join("DEBIAN/control");
    let text = std::fs::read_to_string(&control).expect("a file");
    let lines =
        text.lines().map(|line| if line.starts_with("Version: ") { "Version: 0.0.9-1" } else { line });
    std::fs::write(&control, lines.collect::<Vec<_>>().join("\n") + "\n").expect("written");
    run(Command::new("dpkg-deb")
        .args(["--root-owner-group", "-Zgzip", "-z1", "-b"])
        .arg(&before)
        .arg(debian.path("srv/old.deb")));
    debian
}

fn install(debian: &Root, package: &str) -> String {
    debian.run(&["apt-get", "install", "-y", &format!("/srv/{package}.deb")])
}

/// Starts what is installed as its user, with a configuration of the test.
fn start(debian: &Root, shared: TempDir, nginx: &Nginx, env: &[(&str, &str)]) -> Pointsman {
    let config = shared.path().join("pointsman.toml");
    std::fs::write(&config, whole(&blue_green(nginx.addresses[0], nginx.addresses[1]))).expect("a file");
    let (user, group) = debian.user("pointsman");
    chown(shared.path(), Some(user), Some(group)).expect("given");
    let mut command = debian.command_of((user, group), &["/usr/bin/pointsman"]);
    Pointsman::start_by(command.envs(env.iter().copied()), shared)
}

fn owner(pointsman: &Pointsman) -> u32 {
    let text = std::fs::read_to_string(pointsman.dir.path().join("state/lock")).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

/// Whether a process runs the binary that is installed now.
fn runs_what_is_installed(pid: u32) -> bool {
    let binary = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    binary.to_string_lossy().ends_with("/usr/bin/pointsman")
}

#[test]
#[ignore = "needs root, and a release: make test-packages"]
fn an_installed_package_is_complete_and_purged_without_a_trace() {
    let shared = TempDir::new().expect("a directory");
    let debian = debian(shared.path());
    install(&debian, "new");
    let version = debian.run(&["pointsman", "--version"]);
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
    debian.run(&["pointsman", "check"]);
    for file in [
        "usr/share/man/man1/pointsman.1.gz",
        "usr/share/man/man1/pointsman-rollout-start.1.gz",
        "usr/share/bash-completion/completions/pointsman",
        "usr/share/zsh/vendor-completions/_pointsman",
        "usr/share/fish/vendor_completions.d/pointsman.fish",
        "usr/share/doc/pointsman/copyright",
        "usr/share/pointsman/ssh-command.sh",
    ] {
        assert!(debian.path(file).is_file(), "{file}");
    }
    let wanted = debian.path("etc/systemd/system/multi-user.target.wants/pointsman.service");
    assert!(wanted.is_symlink(), "the unit is enabled");
    let mode = |path: &str| std::fs::metadata(debian.path(path)).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode("var/lib/pointsman"), mode(SETTINGS)), (0o700, 0o644));
    first_start(debian.alone(debian.user("pointsman"), &["/usr/bin/pointsman", "run"]));

    debian.run(&["apt-get", "remove", "-y", "pointsman"]);
    assert!(!debian.path("usr/bin/pointsman").exists());
    assert!(debian.path(SETTINGS).exists() && debian.path("var/lib/pointsman/state.db").exists(), "kept");
    debian.run(&["apt-get", "purge", "-y", "pointsman"]);
    for gone in ["etc/pointsman", "var/lib/pointsman", "var/log/pointsman", "usr/share/doc/pointsman"] {
        assert!(!debian.path(gone).exists(), "{gone}");
    }
    assert!(!wanted.is_symlink(), "the unit is not enabled any more");
}

/// The shipped configuration serves its page, in a network of its own: its ports are fixed ones.
fn first_start(mut command: Command) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    let page = || {
        let inside = ["-t", &child.id().to_string(), "-n", "curl", "-s", "http://127.0.0.1:8080/"];
        let output = Command::new("nsenter").args(inside).output().expect("nsenter");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    eventually("it serves its page", || page().contains("Pointsman is installed"));
    run(Command::new("kill").arg(child.id().to_string()));
    assert!(child.wait().expect("a status").success());
}

/// A socket in place of systemd's: a process names the main process there, and the test reads it.
fn manager(shared: &Path) -> (UnixDatagram, String) {
    let file = shared.join("notify");
    let manager = UnixDatagram::bind(&file).expect("a socket");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o777)).expect("open to it");
    (manager, file.to_string_lossy().into_owned())
}

#[test]
#[ignore = "needs root, and a release: make test-packages"]
fn an_upgrade_of_the_package_under_load_fails_no_request() {
    let shared = TempDir::new().expect("a directory");
    let debian = debian(shared.path());
    install(&debian, "old");
    std::fs::write(debian.path(SETTINGS), "# edited\n").expect("written");
    let nginx = Nginx::start(&["blue", "green"]);
    let (manager, socket) = manager(shared.path());
    let mut pointsman = start(&debian, shared, &nginx, &[("NOTIFY_SOCKET", &socket)]);
    let (load, wrk) = (Load::start(pointsman.http(), 4), wrk(pointsman.http(), 16, 120));
    eventually("there is load", || load.good() > 500);

    let before = pointsman.pid();
    let printed = install(&debian, "new");
    let new = owner(&pointsman);
    assert!(printed.contains(&format!("process {new} has taken over from {before}")), "{printed}");
    pointsman.succeeded_by(new);
    assert!(new != before && runs_what_is_installed(new), "{new}");
    assert!(pointsman.first_ended().success());
    let good = load.good();
    eventually("the new one serves", || load.good() > good + 500);
    let (seen, (good, failed, broken)) = (wrk.stop(), load.stop());
    println!(
        "an upgrade by apt-get: wrk {seen:?}; own clients: {good} good, {failed} failed, {broken} broken"
    );
    assert_eq!((failed, broken, seen.failed, seen.socket_errors), (0, 0, 0, 0));
    assert_eq!(std::fs::read_to_string(debian.path(SETTINGS)).expect("a file"), "# edited\n");
    manager.set_nonblocking(true).expect("set");
    let mut words = [0; 4096];
    let told = std::iter::from_fn(|| manager.recv(&mut words).ok().map(|n| words[..n].to_vec()));
    let main = format!("MAINPID={new}");
    assert!(told.into_iter().any(|text| String::from_utf8_lossy(&text).contains(&main)), "{main}");
}

#[test]
#[ignore = "needs root, and a release: make test-packages"]
fn where_nobody_follows_a_new_process_the_package_leaves_the_old_one() {
    let shared = TempDir::new().expect("a directory");
    let debian = debian(shared.path());
    install(&debian, "old");
    let nginx = Nginx::start(&["blue", "green"]);
    let mut pointsman = start(&debian, shared, &nginx, &[]);
    let load = Load::start(pointsman.http(), 4);
    let before = pointsman.pid();
    let printed = install(&debian, "new");
    assert!(
        printed.contains(&format!("process {before} runs the version before; `pointsman upgrade`")),
        "{printed}"
    );
    assert_eq!((owner(&pointsman), runs_what_is_installed(before)), (before, false));
    let admin = format!("http://{}", pointsman.admin);
    debian.run(&["pointsman", "--admin", &admin, "upgrade"]);
    let new = owner(&pointsman);
    pointsman.succeeded_by(new);
    assert!(runs_what_is_installed(new));
    debian.run(&["apt-get", "remove", "-y", "pointsman"]);
    let good = load.good();
    eventually("nobody stops what no unit started", || load.good() > good + 500);
    let (_, failed, broken) = load.stop();
    assert_eq!((failed, broken), (0, 0));
    assert_eq!(get(pointsman.http(), "/").text(), "blue");
}

/// It takes as long as the package waits for a new process.
#[test]
#[ignore = "needs root, and a release: make test-packages"]
fn an_upgrade_that_cannot_be_leaves_the_old_process_and_says_so() {
    let shared = TempDir::new().expect("a directory");
    let debian = debian(shared.path());
    install(&debian, "old");
    let nginx = Nginx::start(&["blue", "green"]);
    let (_manager, socket) = manager(shared.path());
    let pointsman = start(&debian, shared, &nginx, &[("NOTIFY_SOCKET", &socket)]);
    pointsman.configure("[services.web]\nstabel = \"blue\"\n");
    let load = Load::start(pointsman.http(), 2);
    let before = pointsman.pid();
    let printed = install(&debian, "new");
    assert!(printed.contains(&format!("process {before} still runs the version before")), "{printed}");
    assert_eq!(owner(&pointsman), before);
    let (good, failed, broken) = load.stop();
    assert!(good > 500 && (failed, broken) == (0, 0), "{good}, {failed}, {broken}");
    assert!(pointsman.log().contains("stabel"), "its log says why");
}

/// The unit as it is installed: systemd reads it without a warning.
#[test]
#[ignore = "needs root, and a release: make test-packages"]
fn the_unit_is_sound_and_lintian_has_nothing_to_say() {
    let shared = TempDir::new().expect("a directory");
    let unpacked = shared.path().join("unpacked");
    run(Command::new("dpkg-deb").arg("-x").arg(released(".deb")).arg(&unpacked));
    let found = run(Command::new("find").arg(&unpacked).args(["-name", "pointsman.service"]));
    let unit = std::fs::read_to_string(found.trim()).expect("the unit");
    assert!(unit.contains("ExecStart=/usr/bin/pointsman run") && !unit.contains("/usr/local"), "{unit}");
    let here = shared.path().join("pointsman.service");
    let binary = unpacked.join("usr/bin/pointsman");
    std::fs::write(&here, unit.replace("/usr/bin/pointsman", &binary.to_string_lossy())).expect("written");
    let said = run(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&here));
    assert!(!said.contains("pointsman.service"), "{said}");
    // The first is for uploads to Debian's archive, the second for what Cargo calls a description.
    let aside = "initial-upload-closes-no-bugs,description-synopsis-starts-with-article";
    let mut lintian = Command::new("lintian");
    lintian.args(["--fail-on", "error,warning", "--suppress-tags", aside, "--allow-root"]);
    let said = run(lintian.arg(released(".deb")));
    println!("lintian: {said}");
}
