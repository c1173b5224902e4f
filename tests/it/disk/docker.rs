//! Containers come and go while nothing can be written.

use super::super::docker::{CHECK, becomes};
use super::super::harness::{Docker, Load, Origin, Pointsman, eventually, get};
use super::Disk;

#[test]
fn on_a_full_disk_containers_come_and_go_and_the_history_follows() {
    Disk::with("docker::on_a_full_disk_containers_come_and_go_and_the_history_follows", containers);
}

fn containers(disk: &Disk) {
    let docker = Docker::start();
    let [first, second, third] = ["first", "second", "third"].map(Origin::named);
    docker.runs("aa", "web-1", "blue", first.address);
    let text = format!(
        "[server]\nstate_dir = \"{}\"\n[docker]\nsocket = \"{}\"\n[services.web.pools.blue]\n{CHECK}",
        disk.state().display(),
        docker.socket().display()
    );
    let pointsman = Pointsman::start(&text);
    becomes(&pointsman, "blue", "aa ready");
    let load = Load::start(pointsman.http(), 4);
    disk.fill();
    docker.runs("bb", "web-2", "blue", second.address);
    becomes(&pointsman, "blue", "aa ready, bb ready");
    docker.kill("aa", "15");
    becomes(&pointsman, "blue", "aa draining, bb ready");
    docker.dies("aa");
    docker.is_removed("aa");
    becomes(&pointsman, "blue", "bb ready");
    let before = load.good();
    eventually("requests go on", || load.good() > before + 200);
    let (_, failed, broken) = load.stop();
    assert_eq!((failed, broken), (0, 0));

    // Nothing of it is in the store; Docker says it once more.
    let pointsman = pointsman.kill_and_restart();
    becomes(&pointsman, "blue", "bb ready");
    eventually("it serves", || get(pointsman.http(), "/").text() == "second");
    docker.runs("cc", "web-3", "blue", third.address);
    becomes(&pointsman, "blue", "bb ready, cc ready");
    let load = Load::start(pointsman.http(), 4);
    disk.free();
    eventually("the history has what came", || {
        pointsman.history().iter().any(|row| row["text"].as_str().is_some_and(|text| text.contains("web-3:")))
    });
    let (_, failed, broken) = load.stop();
    assert_eq!((failed, broken), (0, 0));
    let pointsman = pointsman.kill_and_restart();
    becomes(&pointsman, "blue", "bb ready, cc ready");
}
