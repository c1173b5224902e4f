//! Notices: what receivers are told, in order, whatever happens to them or to us.

use super::harness::{Load, Origin, Pointsman, Reaction, Received, eventually};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

const SHORT: &str = "steps = [{ weight = 5, hold = \"50ms\" }, { weight = 25, hold = \"50ms\" }, { weight = 100 }]\n\
                     bake = \"50ms\"\nmin_attempts = 5";
const LONG: &str = "steps = [{ weight = 5, hold = \"10m\" }, { weight = 100 }]\nbake = \"20m\"";

fn config(blue: &Origin, green: &Origin, rollout: &str, notify: &str) -> String {
    format!(
        "[services.web]\nstable = \"blue\"\n\
         [services.web.pools.blue]\nupstreams = [\"{}\"]\n\
         [services.web.pools.green]\nupstreams = [\"{}\"]\n\
         [services.web.rollout]\n{rollout}\n\
         [policies.default]\nerror_rate = {{ critical = \"1%\" }}\n{notify}",
        blue.address, green.address
    )
}

/// A receiver at an address, with more keys.
fn receiver(kind: &str, address: SocketAddr, keys: &str) -> String {
    format!("[[notify]]\nkind = \"{kind}\"\nurl = \"http://{address}/hook/s3cret\"\n{keys}\n")
}

fn json(request: &Received) -> Value {
    serde_json::from_slice(&request.body).expect("JSON")
}

/// What a receiver was sent under a key.
fn sent(origin: &Origin, key: &str) -> Vec<String> {
    origin.all().iter().map(|request| json(request)[key].as_str().unwrap_or_default().to_owned()).collect()
}

/// What a webhook was told, without repetitions.
fn told(origin: &Origin, key: &str) -> Vec<String> {
    let mut seen = Vec::new();
    let mut told = Vec::new();
    for request in origin.all() {
        let id = request.header("x-pointsman-delivery").expect("an id").to_owned();
        if !seen.contains(&id) {
            seen.push(id);
            told.push(json(&request)[key].as_str().unwrap_or_default().to_owned());
        }
    }
    told
}

/// Takes everything from now on; what it has taken, by kind.
fn take(origin: &Origin) -> Arc<Mutex<Vec<String>>> {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let list = taken.clone();
    origin.react(move |request| {
        let kind = request.header("x-pointsman-event").expect("a kind").to_owned();
        list.lock().expect("no panic").push(kind);
        Reaction::ok("")
    });
    taken
}

/// The actions of the history that are told, oldest first.
fn actions(pointsman: &Pointsman) -> Vec<String> {
    let rows = pointsman.history();
    let actions = rows.iter().rev().map(|row| row["action"].as_str().unwrap_or_default().to_owned());
    actions.filter(|action| ["started", "step", "promoted", "aborted"].contains(&action.as_str())).collect()
}

const TOLD: &str = "on = [\"started\", \"step\", \"promoted\", \"aborted\"]";

#[test]
fn chats_are_told_the_start_the_good_end_and_the_bad_one() {
    let [blue, green] = ["blue", "green"].map(Origin::named);
    let [slack, discord] = ["ok", "ok"].map(Origin::named);
    let on = "on = [\"started\", \"promoted\", \"aborted\"]";
    let notify = receiver("slack", slack.address, on) + &receiver("discord", discord.address, on);
    let pointsman = Pointsman::start(&config(&blue, &green, SHORT, &notify));
    let load = Load::start(pointsman.http(), 4);
    let id = pointsman.start_rollout(r#"{"to": "green", "version": "v2"}"#);
    assert_eq!(pointsman.ended(&id)["outcome"], "promoted");
    blue.react(|_| Reaction::Answer(500, "broken".into()));
    let steps = r#""steps": [{"weight": 5, "hold": "20m"}, {"weight": 100}]"#;
    let id = pointsman.start_rollout(&format!("{{\"to\": \"blue\", \"version\": \"v3\", {steps}}}"));
    assert_eq!(pointsman.ended(&id)["outcome"], "aborted");
    load.stop();
    for (receiver, key) in [(&slack, "text"), (&discord, "content")] {
        eventually("all of it arrives", || receiver.requests() == 4);
        let texts = sent(receiver, key);
        println!("{}", texts.join("\n"));
        assert_eq!(texts[0], "🚀 web: deploying v2 (canary) — ETA 0 s; blue → green, started by local");
        assert!(
            texts[1].starts_with("✅ web: v2 is live — error rate 0 %, response time p95 "),
            "{}",
            texts[1]
        );
        assert!(texts[1].ends_with(" ms; green serves 100 %"), "{}", texts[1]);
        assert!(texts[2].contains("deploying v3 (canary) — ETA 20 min"), "{}", texts[2]);
        assert!(texts[3].starts_with("❌ web: v3 (canary) failed — reason: error rate"), "{}", texts[3]);
        let end = "; action: all traffic is back on v2 on green; status: green serves 100 % and is ready";
        assert!(texts[3].ends_with(end), "{}", texts[3]);
        assert_eq!(receiver.last().line, "POST /hook/s3cret HTTP/1.1");
    }
}

#[test]
fn a_webhook_gets_the_whole_notice_signed() {
    let [blue, green, hook] = ["blue", "green", "ok"].map(Origin::named);
    let notify = receiver("webhook", hook.address, "secret = \"k3y\"");
    let pointsman = Pointsman::start(&config(&blue, &green, LONG, &notify));
    let id = pointsman.start_rollout(r#"{"to": "green", "version": "v2"}"#);
    eventually("it is told", || hook.requests() >= 1);
    let request = hook.all().remove(0);
    let mut mac = Hmac::<Sha256>::new_from_slice(b"k3y").expect("a key");
    mac.update(&request.body);
    let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(request.header("x-pointsman-signature"), Some(format!("sha256={digits}").as_str()));
    assert_eq!(request.header("x-pointsman-event"), Some("started"));
    assert_eq!(request.header("content-type"), Some("application/json"));
    let body = json(&request);
    assert_eq!(request.header("x-pointsman-delivery"), body["id"].as_str());
    for (key, value) in [
        ("kind", "started"),
        ("service", "web"),
        ("rollout", &id),
        ("version", "v2"),
        ("strategy", "canary"),
        ("from", "blue"),
        ("to", "green"),
        ("actor", "local"),
    ] {
        assert_eq!(body[key], value, "{body}");
    }
    assert_eq!((body["eta_seconds"].as_u64(), body["weight"].as_f64()), (Some(1800), Some(0.0)), "{body}");
}

#[test]
fn progress_is_told_every_so_often_to_those_who_want_it() {
    let [blue, green, often, never] = ["blue", "green", "ok", "ok"].map(Origin::named);
    let notify = receiver("webhook", often.address, "every = \"200ms\"")
        + &receiver("webhook", never.address, "every = \"off\"");
    let pointsman = Pointsman::start(&config(&blue, &green, LONG, &notify));
    let load = Load::start(pointsman.http(), 2);
    let id = pointsman.start_rollout(r#"{"to": "green", "version": "v2"}"#);
    let progress = || told(&often, "kind").iter().filter(|kind| *kind == "progress").count();
    eventually("progress is told again and again", || progress() >= 3);
    let path = format!("/v1/services/web/rollouts/{id}/abort");
    assert_eq!(pointsman.call("POST", &path, "").status, 200);
    load.stop();
    for receiver in [&often, &never] {
        eventually("the end is told", || told(receiver, "kind").contains(&"aborted".to_owned()));
        assert_eq!(
            told(receiver, "kind").last().map(String::as_str),
            Some("aborted"),
            "and nothing after it"
        );
    }
    assert!(!told(&never, "kind").contains(&"progress".to_owned()));
    let text = told(&often, "text").into_iter().find(|text| text.starts_with("⏳")).expect("one");
    assert!(text.starts_with("⏳ web: v2 (canary) has ") && text.ends_with(" to go"), "{text}");
}

#[test]
fn a_receiver_that_is_down_delays_nobody_and_loses_nothing() {
    let [blue, green, good] = ["blue", "green", "ok"].map(Origin::named);
    let down = Origin::new(|_| Reaction::Close);
    let hanging = Origin::new(|_| Reaction::Hang);
    let notify = receiver("webhook", down.address, TOLD)
        + &receiver("webhook", hanging.address, TOLD)
        + &receiver("webhook", good.address, TOLD);
    let pointsman = Pointsman::start(&config(&blue, &green, SHORT, &notify));
    let load = Load::start(pointsman.http(), 4);
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    assert_eq!(pointsman.ended(&id)["outcome"], "promoted", "it waits for no receiver");
    load.stop();
    let all = actions(&pointsman);
    assert_eq!(all, ["started", "step", "step", "step", "promoted"]);
    eventually("the good one has it all", || told(&good, "kind") == all);
    eventually("the others are at their first letter", || down.requests() >= 1 && hanging.requests() >= 1);
    assert_eq!([&down, &hanging].map(|o| told(o, "kind")), [["started"], ["started"]], "one at a time");
    let taken = take(&down);
    eventually("all of it arrives", || taken.lock().expect("no panic").len() >= all.len());
    assert_eq!(*taken.lock().expect("no panic"), all, "in order, and each once");
}

#[test]
fn what_is_undelivered_survives_a_kill() {
    let [blue, green] = ["blue", "green"].map(Origin::named);
    let hook = Origin::new(|_| Reaction::Answer(503, String::new()));
    let notify = receiver("webhook", hook.address, TOLD);
    let mut pointsman = Pointsman::start(&config(&blue, &green, SHORT, &notify));
    let mut ends = 0;
    for to in ["green", "blue", "green"] {
        let load = Load::start(pointsman.http(), 4);
        let id = pointsman.start_rollout(&format!("{{\"to\": \"{to}\"}}"));
        assert_eq!(pointsman.ended(&id)["outcome"], "promoted");
        load.stop();
        ends += 1;
        pointsman = pointsman.kill_and_restart();
    }
    let all = actions(&pointsman);
    assert_eq!(all.iter().filter(|action| *action == "promoted").count(), ends);
    let taken = take(&hook);
    eventually("all of it arrives", || taken.lock().expect("no panic").len() >= all.len());
    assert_eq!(*taken.lock().expect("no panic"), all, "in order, and each once");
}

#[test]
fn github_gets_a_deployment_with_its_statuses_and_an_issue_for_a_failure() {
    let [blue, green] = ["blue", "green"].map(Origin::named);
    let github = Origin::new(|request| match request.path() {
        "/api/repos/tallow/web/deployments" => Reaction::Answer(201, r#"{"id": 4711}"#.into()),
        _ => Reaction::Answer(201, "{}".into()),
    });
    let notify = format!(
        "[[notify]]\nkind = \"github\"\napi = \"http://{}/api/\"\nrepo = \"tallow/web\"\n\
         token = \"t0ken\"\nenvironment = \"staging\"\n",
        github.address
    );
    let pointsman = Pointsman::start(&config(&blue, &green, LONG, &notify));
    pointsman.start_rollout(r#"{"to": "green", "version": "v2"}"#);
    let state = |request: &Received| json(request)["state"].as_str().map(str::to_owned);
    let states = || github.all().iter().filter_map(state).collect::<Vec<_>>();
    eventually("it is in progress", || states().len() >= 2);
    let pointsman = pointsman.kill_and_restart();
    green.react(|_| Reaction::Answer(500, "broken".into()));
    let load = Load::start(pointsman.http(), 4);
    eventually("there is an issue", || github.last().path() == "/api/repos/tallow/web/issues");
    load.stop();
    let mut states = states();
    // The kill may have come between an answer and our note of it.
    states.dedup();
    assert_eq!(states, ["in_progress", "failure"]);
    let all = github.all();
    let deployment = json(&all[0]);
    assert_eq!(
        (deployment["ref"].as_str(), deployment["environment"].as_str()),
        (Some("v2"), Some("staging"))
    );
    assert_eq!(
        (deployment["auto_merge"].as_bool(), deployment["required_contexts"].as_array()),
        (Some(false), Some(&vec![]))
    );
    let made = all.iter().filter(|request| request.path().ends_with("/deployments")).count();
    assert_eq!(made, 1, "its id outlives the restart");
    for request in &all {
        assert_eq!(request.header("authorization"), Some("Bearer t0ken"));
        if state(request).is_some() {
            assert_eq!(request.path(), "/api/repos/tallow/web/deployments/4711/statuses");
        }
    }
    let issue = json(&github.last());
    assert_eq!(issue["title"], "web: v2 was aborted");
    let body = issue["body"].as_str().expect("a text");
    // A group of requests may be named before it.
    let reason = body.lines().find(|line| line.starts_with("| reason | ")).unwrap_or_default();
    assert!(reason.contains("error rate 100 % is over the critical limit"), "{body}");
    for part in ["| action | all traffic is back on blue |", "response time p95", "| rollout | web-"] {
        assert!(body.contains(part), "{part} is not in\n{body}");
    }
}

#[test]
fn github_can_do_without_deployments_or_issues() {
    let [blue, green] = ["blue", "green"].map(Origin::named);
    let [issues, deployments] = [0, 1].map(|_| Origin::new(|_| Reaction::Answer(201, r#"{"id": 1}"#.into())));
    let github = |origin: &Origin, keys: &str| {
        let api = origin.address;
        format!(
            "[[notify]]\nkind = \"github\"\napi = \"http://{api}\"\nrepo = \"a/b\"\ntoken = \"t\"\n{keys}\n"
        )
    };
    let notify = github(&issues, "deployment = false") + &github(&deployments, "issue = false");
    let pointsman = Pointsman::start(&config(&blue, &green, LONG, &notify));
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    assert_eq!(pointsman.call("POST", &format!("/v1/services/web/rollouts/{id}/abort"), "").status, 200);
    eventually("the failure is told", || {
        deployments.all().iter().any(|request| request.body.windows(9).any(|part| part == b"\"failure\""))
    });
    eventually("the issue is opened", || issues.requests() == 1);
    assert_eq!(issues.last().path(), "/repos/a/b/issues");
    assert!(deployments.all().iter().all(|request| !request.path().ends_with("/issues")));
}

#[test]
fn receivers_hear_only_of_what_and_whom_they_want() {
    let [blue, green, ends, other] = ["blue", "green", "ok", "ok"].map(Origin::named);
    let notify = receiver("webhook", ends.address, "on = [\"rollback\"]\nservices = [\"web\"]")
        + &receiver("webhook", other.address, "services = [\"api\"]");
    let api = format!(
        "[services.api.pools.one]\nupstreams = [\"{}\"]\n[services.api.pools.two]\nupstreams = [\"{}\"]\n",
        blue.address, green.address
    );
    let text = config(&blue, &green, SHORT, &notify) + &api + "[services.api]\nstable = \"one\"\n";
    let pointsman = Pointsman::start(&text);
    let load = Load::start(pointsman.http(), 4);
    let id = pointsman.start_rollout(r#"{"to": "green", "version": "v2"}"#);
    assert_eq!(pointsman.ended(&id)["outcome"], "promoted");
    load.stop();
    assert_eq!(pointsman.cli(&["rollback", "web"]).code, 0);
    for body in [r#"{"to": "two"}"#, ""] {
        let path = if body.is_empty() { "rollback" } else { "flip" };
        assert_eq!(pointsman.call("POST", &format!("/v1/services/api/{path}"), body).status, 200);
    }
    eventually("both are told", || ends.requests() >= 1 && other.requests() >= 1);
    assert_eq!(told(&ends, "kind"), ["rollback"]);
    let text = told(&ends, "text").remove(0);
    assert!(text.starts_with("↩️ web: v2 rolled back — reason: rolled back to blue by local"), "{text}");
    assert_eq!(told(&other, "service"), ["api"]);
}

#[test]
fn refusals_are_told_without_the_url_and_pauses_are_kept() {
    let [blue, green] = ["blue", "green"].map(Origin::named);
    let gone = Origin::new(|_| Reaction::Answer(404, String::new()));
    let elsewhere = Origin::named("elsewhere");
    let moved = {
        let location = elsewhere.address;
        let redirect =
            format!("HTTP/1.1 302 Found\r\nLocation: http://{location}/\r\nContent-Length: 0\r\n\r\n");
        Origin::new(move |_| Reaction::Raw(redirect.clone().into_bytes()))
    };
    let limit = b"HTTP/1.1 429 Too Many\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n";
    let limited = Origin::new(|_| Reaction::Raw(limit.to_vec()));
    let notify = receiver("slack", gone.address, TOLD)
        + &receiver("discord", moved.address, TOLD)
        + &receiver("webhook", limited.address, TOLD);
    let pointsman = Pointsman::start(&config(&blue, &green, LONG, &notify));
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    assert_eq!(pointsman.call("POST", &format!("/v1/services/web/rollouts/{id}/abort"), "").status, 200);
    let counted = |line: &str| pointsman.get("/metrics").text().contains(line);
    eventually("what is refused is dropped at once, and the next one tried", || gone.requests() >= 2);
    eventually("a redirect is tried again", || moved.requests() >= 2);
    eventually("and counted", || {
        counted("pointsman_notifications_total{receiver=\"slack\",result=\"dropped\"}")
            && counted("pointsman_notifications_total{receiver=\"discord\",result=\"failed\"}")
            && counted("pointsman_notifications_total{receiver=\"webhook\",result=\"failed\"} 1\n")
    });
    let tried = gone.requests();
    eventually("each was tried once", || tried <= actions(&pointsman).len() as u64);
    assert_eq!((limited.requests(), elsewhere.requests()), (1, 0));
    let log = pointsman.log();
    assert!(log.contains("not tried again: it answered 404"), "{log}");
    assert!(!log.contains("s3cret") && !log.contains(&gone.address.to_string()), "{log}");
}

#[test]
fn a_reload_changes_the_receivers_and_drops_what_waits_for_one_that_is_gone() {
    let [blue, green, new] = ["blue", "green", "ok"].map(Origin::named);
    let down = Origin::new(|_| Reaction::Close);
    let with = |notify: &str| config(&blue, &green, LONG, notify);
    let pointsman = Pointsman::start(&with(&receiver("webhook", down.address, "name = \"old\"")));
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    eventually("it has been tried", || down.requests() >= 1);
    pointsman.configure(&with(&receiver("webhook", new.address, "name = \"new\"")));
    let report = pointsman.call("POST", "/v1/reload", "");
    assert_eq!((report.status, report.json()["changed"].to_string()), (200, "[\"notify\"]".to_owned()));
    assert_eq!(pointsman.call("POST", &format!("/v1/services/web/rollouts/{id}/abort"), "").status, 200);
    // A step right after the start may come after the reload, too.
    eventually("the new one is told of what came after", || {
        told(&new, "kind").last().is_some_and(|kind| kind == "aborted")
    });
    assert!(!told(&new, "kind").contains(&"started".to_owned()), "{:?}", told(&new, "kind"));
    eventually("the log says what was dropped", || pointsman.log().contains("undelivered notices dropped"));
    assert!(pointsman.log().contains("receiver=\"old\""), "{}", pointsman.log());
    // The same receiver at another address takes over what waits.
    pointsman.configure(&with(&receiver("webhook", down.address, "name = \"new\"")));
    assert_eq!(pointsman.call("POST", "/v1/reload", "").status, 200);
    let tried = down.requests();
    assert_eq!(pointsman.cli(&["rollout", "start", "web", "--to", "green"]).code, 0);
    eventually("it is tried there", || down.requests() > tried);
    pointsman.configure(&with(&receiver("webhook", new.address, "name = \"new\"")));
    assert_eq!(pointsman.call("POST", "/v1/reload", "").status, 200);
    eventually("and arrives here", || told(&new, "kind").contains(&"started".to_owned()));
}
