//! The image of a release, with no container about it: its files as a root, its user, its command.

use super::super::harness::{Nginx, Pointsman, blue_green, eventually, get, whole};
use super::root::{Root, released, run};
use serde_json::Value;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// What an archive of an image holds beside its layers.
struct Unpacked {
    archive: TempDir,
    manifest: Value,
    config: Value,
}

impl Unpacked {
    fn of(file: &Path) -> Self {
        let archive = TempDir::new().expect("a directory");
        run(Command::new("tar").arg("-xf").arg(file).arg("-C").arg(archive.path()));
        let json = |name: &str| -> Value {
            let text = std::fs::read_to_string(archive.path().join(name)).expect("a file");
            serde_json::from_str(&text).expect("JSON")
        };
        let manifest = json("manifest.json")[0].clone();
        let config = json(manifest["Config"].as_str().expect("a name"));
        Unpacked { archive, manifest, config }
    }

    /// Its files, as a root.
    fn root(&self, shared: &Path) -> Root {
        let root = Root::of(None, shared);
        for layer in self.manifest["Layers"].as_array().expect("layers") {
            let layer = self.archive.path().join(layer.as_str().expect("a name"));
            run(Command::new("tar").arg("-xpf").arg(layer).arg("-C").arg(root.path("")));
        }
        root
    }
}

/// An image of a release is what the Dockerfile makes of the source.
#[test]
fn the_image_is_described_as_the_dockerfile_has_it_and_written_the_same_twice() {
    let dir = TempDir::new().expect("a directory");
    let write = |name: &str| {
        let file = dir.path().join(name);
        let mut image = Command::new(super::root().join("tools/image.py"));
        image.args(["0.1.0", "amd64", "Cargo.toml", "README.md", "conf/docker/pointsman.toml"]).arg(&file);
        run(image.env("SOURCE_DATE_EPOCH", "1700000000").current_dir(super::root()));
        std::fs::read(&file).expect("a file")
    };
    assert!(write("one.tar") == write("two.tar"), "the same bytes");
    let image = Unpacked::of(&dir.path().join("one.tar"));
    assert_eq!(image.config["created"], "2023-11-14T22:13:20Z");
    assert_eq!(image.manifest["RepoTags"][0], "pointsman:0.1.0");
    let inside = &image.config["config"];
    let dockerfile = super::read("conf/docker/Dockerfile");
    let said = |word: &str| {
        let mut lines = dockerfile.lines().filter_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
        lines.next_back().unwrap_or_else(|| panic!("{word}")).to_owned()
    };
    let list = |text: &str| -> Value { serde_json::from_str(text).expect("JSON") };
    assert_eq!(inside["User"], said("USER"));
    assert_eq!(inside["StopSignal"], said("STOPSIGNAL"));
    assert_eq!(inside["Entrypoint"], list(&said("ENTRYPOINT")));
    assert_eq!(inside["Cmd"], list(&said("CMD")));
    assert!(inside["Volumes"][said("VOLUME")].is_object(), "{inside}");
    assert!(inside["ExposedPorts"][format!("{}/tcp", said("EXPOSE"))].is_object(), "{inside}");
    let check = &inside["Healthcheck"];
    let seconds = |key: &str| check[key].as_u64().expect("a time") / 1_000_000_000;
    let times = ["Interval", "Timeout", "StartPeriod"].map(seconds);
    let command = check["Test"].as_array().expect("a list")[1..].to_vec();
    let written = format!(
        "--interval={}s --timeout={}s --start-period={}s CMD {}",
        times[0],
        times[1],
        times[2],
        Value::from(command).to_string().replace(',', ", ")
    );
    assert_eq!(written, said("HEALTHCHECK"));
}

#[test]
#[ignore = "needs root, and a release: make test-packages"]
fn the_image_has_authorities_and_a_folder_for_its_state_and_no_shell() {
    let shared = TempDir::new().expect("a directory");
    let image = Unpacked::of(&released(".tar"));
    let root = image.root(shared.path());
    let version = &image.config["config"]["Labels"]["org.opencontainers.image.version"];
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    let state = std::fs::metadata(root.path("var/lib/pointsman")).expect("there");
    assert_eq!((state.uid(), state.gid()), (65532, 65532));
    let authorities = std::fs::read_to_string(root.path("etc/ssl/certs/ca-certificates.crt")).expect("there");
    assert!(authorities.matches("BEGIN CERTIFICATE").count() > 100);
    for shell in ["bin", "usr/bin", "lib"] {
        assert!(!root.path(shell).exists(), "{shell}");
    }
}

#[test]
#[ignore = "needs root, and a release: make test-packages"]
fn the_image_serves_as_its_user_and_finds_names_and_authorities() {
    let shared = TempDir::new().expect("a directory");
    let root = Unpacked::of(&released(".tar")).root(shared.path());
    chown(shared.path(), Some(65532), Some(65532)).expect("given");
    // Docker writes this file; a static binary reads it without a plug-in of glibc's.
    std::fs::write(root.path("etc/hosts"), "127.0.0.1 app.internal\n").expect("written");
    let nginx = Nginx::start(&["blue", "green"]);
    let text = blue_green(nginx.addresses[0], nginx.addresses[1]);
    let text = text.replacen(
        &nginx.addresses[0].to_string(),
        &format!("app.internal:{}", nginx.addresses[0].port()),
        1,
    );
    // Green's: where the system has no authorities, this is refused at the start.
    let text = text + "tls = true\n";
    std::fs::write(shared.path().join("pointsman.toml"), whole(&text)).expect("a file");
    let mut command = root.command_of((65532, 65532), &["/usr/local/bin/pointsman"]);
    let pointsman = Pointsman::start_by(&mut command, shared);
    eventually("the name is found", || get(pointsman.http(), "/").text() == "blue");
    let status = std::fs::read_to_string(format!("/proc/{}/status", pointsman.pid())).expect("it runs");
    assert!(status.contains("Uid:\t65532\t65532"), "{status}");
    let threads = std::fs::read_dir(format!("/proc/{}/task", pointsman.pid())).expect("it runs");
    let names: Vec<String> = threads
        .map(|thread| {
            std::fs::read_to_string(thread.expect("a thread").path().join("comm")).unwrap_or_default()
        })
        .collect();
    assert!(
        names.iter().any(|name| name.starts_with("jemalloc_bg")),
        "memory is given back by time: {names:?}"
    );
    let admin = format!("http://{}", pointsman.admin);
    root.run(&["/usr/local/bin/pointsman", "--admin", &admin, "healthcheck"]);
}
