//! What the process says of itself, and the picture of a rollout's course.

use crate::harness::{Connection, Nginx, Pointsman, blue_green, eventually};
use serde_json::Value;

#[test]
fn the_process_says_what_it_serves_with_and_how_the_last_reload_went() {
    let nginx = Nginx::start(&["blue", "green"]);
    let config = format!(
        "[limits]\nconnections = 500\nmemory = \"64M\"\n{}",
        blue_green(nginx.addresses[0], nginx.addresses[1])
    );
    let pointsman = Pointsman::start(&config);
    let instance = || pointsman.get("/v1/instance").json();
    let first = instance();
    assert_eq!(first["pid"].as_u64(), Some(pointsman.pid().into()));
    assert_eq!(first["listeners"][0]["address"], pointsman.http().to_string());
    assert_eq!(first["admin"]["address"], pointsman.admin.to_string());
    assert_eq!(first["limits"]["connections"]["limit"], 500);
    assert_eq!(first["limits"]["memory_bytes"]["limit"], 64 << 20);
    assert_eq!(first["policies"]["default"]["services"][0], "web");
    assert_eq!(first["configuration"]["last_reload"], Value::Null);
    assert!(first["configuration"]["file"].as_str().is_some_and(|file| file.ends_with("pointsman.toml")));

    let mut client = Connection::open(pointsman.http());
    assert_eq!(client.get("/").status, 200);
    let connections = |view: &Value| view["listeners"][0]["connections"].as_u64();
    assert_eq!(connections(&instance()), Some(1));
    let shown = pointsman.cli(&["status"]);
    let line = shown.out.lines().find(|line| line.starts_with("limits: ")).expect("a line");
    assert!(line.starts_with("limits: 1 of 500 connections") && line.len() <= 80, "{line}");
    drop(client);
    eventually("the client has gone", || connections(&instance()) == Some(0));

    pointsman.configure(&format!("[server]\nthreads = 3\n{config}"));
    assert_eq!(pointsman.call("POST", "/v1/reload", "").status, 200);
    let reloaded = instance()["configuration"].clone();
    assert_eq!(
        (&reloaded["last_reload"]["ok"], &reloaded["last_reload"]["by"]),
        (&true.into(), &"local from 127.0.0.1".into())
    );
    assert_eq!(reloaded["needs_restart"][0], "server.threads");
    assert_eq!(reloaded["loaded_at"], reloaded["last_reload"]["at"]);
    pointsman.configure("nonsense = 1\n");
    assert_eq!(pointsman.call("POST", "/v1/reload", "").status, 422);
    let failed = instance()["configuration"].clone();
    assert_eq!((&failed["last_reload"]["ok"], &failed["loaded_at"]), (&false.into(), &reloaded["loaded_at"]));
    assert!(failed["last_reload"]["errors"].to_string().contains("nonsense"), "{failed}");
    assert_eq!(failed["needs_restart"], reloaded["needs_restart"], "what was read last is in effect");
}

#[test]
fn a_course_is_a_picture_that_stands_alone() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&blue_green(nginx.addresses[0], nginx.addresses[1]));
    let body =
        r#"{"to": "green", "version": "v2 <&\"'>", "steps": [{"weight": 5, "hold": "1h"}, {"weight": 100}]}"#;
    let id = pointsman.start_rollout(body);
    eventually("it has weight", || pointsman.weight("green") == 5.0);
    let path = format!("/v1/services/web/rollouts/{id}");
    assert_eq!(pointsman.call("POST", &format!("{path}/abort"), "").status, 200);
    eventually("the row is there", || pointsman.row("aborted")["rollout"] == id.as_str());
    let answer = pointsman.get(&format!("{path}/course.svg"));
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("image/svg+xml")));
    let policy = answer.header("content-security-policy").expect("a policy");
    assert!(policy.contains("default-src 'none'") && !policy.contains("script"), "{policy}");
    let text = answer.text();
    for part in [
        "<svg xmlns",
        "web: v2 &lt;&amp;&quot;&#39;&gt; on green, aborted",
        "class=\"abort\"",
        "step 1 of 2",
        "prefers-color-scheme: dark",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for part in ["<script", "href", "http-equiv", "url("] {
        assert!(!text.contains(part), "{part}: {text}");
    }
    let file = pointsman.dir.path().join("course.svg");
    std::fs::write(&file, &answer.body).expect("a file");
    let check = "import sys, xml.dom.minidom as dom; dom.parse(sys.argv[1])";
    let parsed =
        std::process::Command::new("python3").args(["-c", check]).arg(&file).output().expect("python3");
    assert!(parsed.status.success(), "{}\n{text}", String::from_utf8_lossy(&parsed.stderr));
    if let Some(dir) = std::env::var_os("POINTSMAN_PICTURES") {
        std::fs::copy(&file, std::path::Path::new(&dir).join("course.svg")).expect("a copy");
    }
    assert_eq!(pointsman.get("/v1/services/web/rollouts/web-1/course.svg").status, 404);
}
