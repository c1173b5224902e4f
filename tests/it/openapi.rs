//! The description of the admin API, held against the API itself, and the habits that all its calls share.

mod instance;
mod schemathesis;

use super::harness::{Answer, Nginx, Pointsman, Printed, blue_green, eventually};
use serde_json::Value;
use std::collections::BTreeSet;

/// With `admin` before the rest of the configuration.
fn start(nginx: &Nginx, admin: &str) -> Pointsman {
    Pointsman::start(&format!(
        "{admin}[[routes]]\nservice = \"web\"\n[[sets]]\nname = \"site\"\nservices = [\"web\", \"api\"]\n{}\
         [services.api]\nstable = \"blue\"\n[services.api.pools.blue]\nupstreams = [\"{}\"]\n\
         [services.api.pools.green]\nupstreams = [\"{}\"]\n",
        blue_green(nginx.addresses[0], nginx.addresses[1]),
        nginx.addresses[0],
        nginx.addresses[1]
    ))
}

fn description(pointsman: &Pointsman) -> Value {
    let answer = pointsman.get("/openapi.json");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    answer.json()
}

/// A path of the description with names in it; its action is one that there is.
fn named(path: &str, operations: &Value) -> String {
    let parameters = operations.as_object().expect("operations").values().next().expect("one");
    let parameters = parameters["parameters"].as_array().expect("a list");
    let action = parameters.iter().find(|parameter| parameter["name"] == "action");
    let action = action.and_then(|parameter| parameter["schema"]["enum"][0].as_str()).unwrap_or_default();
    let names = [("{service}", "web"), ("{set}", "site"), ("{action}", action)];
    let path = names.iter().fold(path.to_owned(), |path, (name, value)| path.replace(name, value));
    ["{id}", "{pool}", "{upstream}", "{member}"].iter().fold(path, |path, name| path.replace(name, "x"))
}

#[test]
fn each_path_takes_the_methods_that_its_description_names_and_no_other() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = start(&nginx, "");
    let document = description(&pointsman);
    assert_eq!(document["openapi"], "3.1.0");
    let printed = Printed::of(&["openapi"], pointsman.dir.path());
    assert_eq!((printed.code, printed.out), (0, pointsman.get("/openapi.json").text()));
    let paths = document["paths"].as_object().expect("paths");
    assert!(paths.len() > 25, "{}", paths.len());
    for (path, operations) in paths {
        let mut described: BTreeSet<String> =
            operations.as_object().expect("operations").keys().map(|method| method.to_uppercase()).collect();
        if described.contains("GET") {
            described.insert("HEAD".to_owned());
        }
        let path = named(path, operations);
        let options = pointsman.call("OPTIONS", &path, "");
        assert_eq!(options.status, 204, "{path}: {}", options.text());
        let allowed = options.header("allow").expect("Allow").split(',').map(|name| name.trim().to_owned());
        assert_eq!(allowed.collect::<BTreeSet<_>>(), described, "{path}");
        let patch = pointsman.call("PATCH", &path, "");
        assert_eq!((patch.status, patch.header("allow")), (405, options.header("allow")), "{path}");
    }
    assert_eq!(pointsman.call("OPTIONS", "/v2/services", "").status, 404);
}

#[test]
fn reads_have_a_head_and_clients_that_want_something_else_are_told_what_there_is() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = start(&nginx, "");
    for path in ["/v1/services", "/v1/services/web", "/openapi.json", "/metrics", "/healthz"] {
        let head = pointsman.call("HEAD", path, "");
        assert!(head.status == 200 && head.body.is_empty(), "{path}: {}", head.status);
        assert!(head.header("content-length").is_some_and(|length| length != "0"), "{path}");
    }
    let accepting =
        |accept: &str, path: &str| pointsman.call_with("GET", path, &format!("Accept: {accept}\r\n"), "");
    let refused = accepting("text/html", "/v1/services/web");
    assert_eq!(refused.status, 406);
    assert!(refused.json()["detail"].as_str().is_some_and(|text| text.contains("application/json")));
    assert_eq!(accepting("text/html, application/*;q=0.1", "/v1/services/web").status, 200);
    assert_eq!(accepting("application/openmetrics-text, text/plain;q=0.5", "/metrics").status, 200);
    assert_eq!(accepting("text/html", "/healthz").status, 200, "checks accept what they like");
}

fn errors(answer: &Answer) -> Vec<String> {
    let body = answer.json();
    let errors = body["errors"].as_array().cloned().unwrap_or_default();
    let text = |error: &Value, key: &str| error[key].as_str().unwrap_or_default().to_owned();
    errors.iter().map(|error| format!("{}: {}", text(error, "path"), text(error, "detail"))).collect()
}

#[test]
fn all_faults_of_a_body_or_a_query_come_at_once_in_plain_words() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = start(&nginx, "");
    let body =
        r#"{"too": 1, "strategy": "canari", "steps": [{"hold": "soon"}, {"weight": "5", "gates": true}]}"#;
    let answer = pointsman.call("POST", "/v1/services/web/rollouts", body);
    assert_eq!(answer.status, 422, "{}", answer.text());
    let told = errors(&answer);
    for says in [
        "too: is not known; did you mean to?",
        "strategy: \"canari\" is not known; did you mean canary?",
        "steps[0].hold: \"soon\" is no duration; write 250ms, 10s, 5m, 1h or 7d",
        "steps[1].weight: is a text where a number is expected",
        "steps[1].gates: is not known; did you mean gate?",
        "to: is missing",
    ] {
        assert!(told.iter().any(|fault| fault == says), "{says}: {told:#?}");
    }
    assert_eq!(told.len(), 6, "{told:#?}");
    let query = pointsman.get("/v1/history?limit=0&befor=2");
    let told = errors(&query);
    assert_eq!((query.status, told.len()), (422, 2), "{told:?}");
    assert!(told.contains(&"befor: is not known; did you mean before?".to_owned()), "{told:?}");
    let twice = pointsman.call("POST", "/v1/services/web/flip", r#"{"to": "green", "to": "blue"}"#);
    assert!(twice.status == 422 && twice.text().contains("stands twice"), "{}", twice.text());
    for answer in [answer, query, twice] {
        for word in ["serde", "deserialize", "struct", "field `", "u64", "Some("] {
            assert!(!answer.text().contains(word), "{word}: {}", answer.text());
        }
    }
}

#[test]
fn every_change_of_a_service_can_be_for_one_revision_alone() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = start(&nginx, "");
    let revision = |path: &str| {
        let answer = pointsman.get(path);
        answer.header("etag").expect("an ETag").to_owned()
    };
    let service = revision("/v1/services/web");
    let green = nginx.addresses[1];
    let upstreams = "/v1/services/web/pools/green/upstreams";
    let set = format!("{{\"upstreams\": [\"{green}\"]}}");
    let calls = [
        ("PUT", "/v1/services/web/weights", r#"{"blue": 90, "green": 10}"#),
        ("POST", "/v1/services/web/flip", r#"{"to": "green"}"#),
        ("POST", "/v1/services/web/rollback", ""),
        ("POST", "/v1/services/web/rollouts", r#"{"to": "green"}"#),
        ("PUT", upstreams, &set),
        ("DELETE", upstreams, ""),
        ("POST", &format!("{upstreams}/{green}/drain"), ""),
        ("PUT", "/v1/maintenance", r#"{"status": "maintenance", "service": "web"}"#),
        ("POST", "/v1/sets/site/rollouts", r#"{"to": "green"}"#),
    ];
    for (method, path, body) in calls {
        let stale = pointsman.call_with(method, path, "If-Match: \"4711\"\r\n", body);
        assert_eq!(stale.status, 412, "{method} {path}: {}", stale.text());
        assert_eq!(stale.json()["type"], "urn:pointsman:problem:precondition-failed");
        let odd = pointsman.call_with(method, path, "If-Match: \"x\"\r\n", body);
        assert_eq!(odd.status, 422, "{method} {path}: {}", odd.text());
    }
    assert_eq!(revision("/v1/services/web"), service, "nothing has changed");
    assert!(pointsman.history().is_empty());
    let site =
        pointsman.call_with("PUT", "/v1/maintenance", "If-Match: \"1\"\r\n", r#"{"status": "maintenance"}"#);
    assert!(site.status == 422 && site.text().contains("name a service"), "{}", site.text());

    let set = revision("/v1/sets/site");
    let started = pointsman.call_with(
        "POST",
        "/v1/sets/site/rollouts",
        &format!("If-Match: {set}\r\n"),
        r#"{"to": "green", "gate": true}"#,
    );
    assert_eq!(started.status, 201, "{}", started.text());
    let id = pointsman.web()["rollout"]["id"].as_str().expect("an id").to_owned();
    let abort = format!("/v1/services/web/rollouts/{id}/abort");
    let stale = pointsman.call_with("POST", &abort, &format!("If-Match: {service}\r\n"), "");
    assert_eq!(stale.status, 412, "{}", stale.text());
    eventually("it waits for its approval", || pointsman.web()["rollout"]["waits_for"] == "approval");
    let now = revision("/v1/services/web");
    let aborted = pointsman.call_with("POST", &abort, &format!("If-Match: {now}\r\n"), "");
    assert_eq!((aborted.status, aborted.json()["outcome"].as_str()), (200, Some("aborted")));
    let any = pointsman.call_with("POST", "/v1/services/web/flip", "If-Match: *\r\n", r#"{"to": "blue"}"#);
    assert_ne!(any.status, 412, "{}", any.text());
}
