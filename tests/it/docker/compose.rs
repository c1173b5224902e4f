//! `conf/compose`: its script deploys its app of Node, a good and a bad version. Docker itself is a script of the test's.

use super::super::harness::{Docker, Load, Pointsman, eventually, get};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicUsize, Ordering};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A container of the app, and where it is reached.
struct App {
    id: String,
    address: SocketAddr,
    child: Child,
}

impl Drop for App {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl App {
    fn start(folder: &Path, version: &str) -> App {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.expect("a port");
        let child = Command::new("node")
            .arg(folder.join("app/server.js"))
            .envs([("VERSION", version), ("PORT", &address.port().to_string())])
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("node is installed: make setup-test");
        App { id: format!("id{}", COUNT.fetch_add(1, Ordering::SeqCst)), address, child }
    }
}

/// A copy of the example, whose script finds a `docker` of ours.
fn copied(into: &Path) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/compose");
    let to = into.join("compose");
    std::fs::create_dir_all(to.join("app")).expect("a folder");
    for name in ["compose.yml", "deploy.sh", "pointsman.toml", "app/server.js", "app/visitors.js"] {
        std::fs::copy(from.join(name), to.join(name)).expect("a file");
    }
    to
}

/// `docker compose exec` is the client's command itself; `docker compose up` waits until the test has done it.
fn write_docker(folder: &Path, pointsman: &Pointsman) -> PathBuf {
    let bin = folder.join("bin");
    std::fs::create_dir_all(&bin).expect("a folder");
    let script = format!(
        "#!/bin/sh\nset -eu\n[ \"$1\" = compose ]\ncase $2 in\n\
         exec) shift 5; POINTSMAN_TOKEN={TOKEN} POINTSMAN_ADMIN=http://{} exec {} \"$@\" ;;\n\
         up) for last in \"$@\"; do :; done; printf '%s' \"$last\" > {up}.new; mv {up}.new {up}\n\
         while [ -e {up} ]; do sleep 0.02; done ;;\nesac\n",
        pointsman.admin,
        env!("CARGO_BIN_EXE_pointsman"),
        up = folder.join("up").display(),
    );
    let docker = bin.join("docker");
    std::fs::write(&docker, script).expect("a file");
    std::fs::set_permissions(&docker, PermissionsExt::from_mode(0o755)).expect("executable");
    bin
}

/// `./deploy.sh VERSION`, with the container of a colour replaced as compose does it; the exit code and what it printed.
fn deploy(
    folder: &Path,
    bin: &Path,
    docker: &Docker,
    apps: &mut [Option<App>; 2],
    version: &str,
) -> (i32, String) {
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let script = Command::new("sh")
        .arg(folder.join("deploy.sh"))
        .arg(version)
        .env("PATH", path)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("a shell");
    let mut colour = String::new();
    eventually("compose is to start a colour", || {
        colour = std::fs::read_to_string(folder.join("up")).unwrap_or_default();
        !colour.is_empty()
    });
    let name = format!("compose-{colour}-1");
    let env = std::fs::read_to_string(folder.join(".env")).expect("a file");
    let variable = format!("{}_VERSION=", colour.to_uppercase());
    let running = env.lines().find_map(|line| line.strip_prefix(&variable)).expect("the version");
    let place = &mut apps[usize::from(colour == "green")];
    if let Some(old) = place.take() {
        docker.kill(&old.id, "15");
        docker.dies(&old.id);
        docker.is_removed(&old.id);
    }
    let app = App::start(folder, running);
    docker.runs(&app.id, &name, &colour, app.address);
    *place = Some(app);
    std::fs::remove_file(folder.join("up")).expect("a file");
    let output = script.wait_with_output().expect("an end");
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap_or(-1), text)
}

#[test]
fn the_compose_example_deploys_a_good_and_a_bad_version() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let folder = copied(dir.path());
    let docker = Docker::start();
    let mut apps = [(); 2].map(|()| Some(App::start(&folder, "v1")));
    for (app, colour) in apps.iter().flatten().zip(["blue", "green"]) {
        docker.runs(&app.id, &format!("compose-{colour}-1"), colour, app.address);
    }
    let config = std::fs::read_to_string(folder.join("pointsman.toml")).expect("a file");
    let config = config
        .replace("\"/var/lib/pointsman\"", "\"state\"")
        .replace("\"0.0.0.0:9900\"", "\"127.0.0.1:0\"")
        .replace("\"tcp://docker-proxy:2375\"", &format!("{:?}", docker.socket()))
        .replace("\":80\"", "\"127.0.0.1:0\"")
        .replace("\"10s\"", "\"300ms\"");
    let pointsman = Pointsman::start_told(&config, &[("POINTSMAN_TOKEN", TOKEN)]);
    let bin = write_docker(&folder, &pointsman);
    eventually("the site serves", || get(pointsman.http(), "/").status == 200);
    let load = Load::start(pointsman.http(), 4);

    let (code, text) = deploy(&folder, &bin, &docker, &mut apps, "v2");
    assert_eq!(code, 0, "{text}\n{}", pointsman.log());
    assert!(text.starts_with("deploying v2 to green\n") && text.contains("promoted"), "{text}");
    assert_eq!(get(pointsman.http(), "/").text(), "version v2\n");
    let (code, text) = deploy(&folder, &bin, &docker, &mut apps, "v3-bad");
    assert_eq!(code, 3, "{text}");
    assert!(text.starts_with("deploying v3-bad to blue\n") && text.contains("aborted"), "{text}");
    assert_eq!(get(pointsman.http(), "/").text(), "version v2\n");
    let env = std::fs::read_to_string(folder.join(".env")).expect("a file");
    assert_eq!(env, "GREEN_VERSION=v2\nBLUE_VERSION=v3-bad\n");

    let (good, failed, broken) = load.stop();
    println!("the compose example: {good} requests, {failed} failed, {broken} broken");
    assert_eq!((failed, broken), (0, 0));
}

/// A container has no other interface than its network's: an IPv6 address alone would shut out everybody.
#[test]
fn shipped_containers_listen_by_both_families() {
    for folder in ["docker", "compose", "compose-fleet"] {
        let file = format!("conf/{folder}/pointsman.toml");
        let text =
            std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file)).expect("a file");
        assert!(text.contains("\naddress = \":80\""), "{file}");
    }
}
