//! Server-sent events, as `curl -N` reads them.

use super::harness::{Nginx, Origin, Pointsman, Reaction, blue_green, eventually};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

/// A stream; its client is killed when dropped.
struct Stream {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone, Debug)]
struct Event {
    id: u64,
    kind: String,
    data: Value,
}

impl Stream {
    /// Opens one, and waits until its head has come.
    fn open(pointsman: &Pointsman, path: &str, after: Option<u64>) -> Self {
        let mut command = Command::new("curl");
        command.args(["-sN", "-D", "-", &format!("http://{}{path}", pointsman.admin)]);
        if let Some(id) = after {
            command.args(["-H", &format!("Last-Event-ID: {id}")]);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().expect("curl");
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let (out, written) = (BufReader::new(child.stdout.take().expect("piped")), lines.clone());
        std::thread::spawn(move || {
            out.lines().map_while(Result::ok).for_each(|line| written.lock().expect("no panic").push(line));
        });
        let stream = Stream { child, lines };
        eventually("the head comes", || stream.text().contains("content-type: text/event-stream"));
        stream
    }

    fn text(&self) -> String {
        self.lines.lock().expect("no panic").join("\n")
    }

    fn events(&self) -> Vec<Event> {
        let text = self.text();
        let body = text.split_once("\n\n").map_or("", |(_, body)| body).to_owned();
        let whole = body.split("\n\n").filter_map(|block| {
            let field =
                |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            let data = serde_json::from_str(field("data")?).ok()?;
            Some(Event { id: field("id")?.parse().ok()?, kind: field("event")?.to_owned(), data })
        });
        whole.collect()
    }

    fn ids(&self) -> Vec<u64> {
        self.events().iter().map(|event| event.id).collect()
    }

    fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a state").is_some()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn flip(pointsman: &Pointsman, to: &str) {
    let body = format!("{{\"to\": \"{to}\"}}");
    assert_eq!(pointsman.call("POST", "/v1/services/web/flip", &body).status, 200);
}

#[test]
fn events_arrive_and_a_return_brings_exactly_what_was_missed_over_a_restart_too() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&blue_green(nginx.addresses[0], nginx.addresses[1]));
    flip(&pointsman, "green");
    let mut first = Stream::open(&pointsman, "/v1/events", None);
    flip(&pointsman, "blue");
    let maintenance = r#"{"status": "maintenance", "duration": "1h"}"#;
    assert_eq!(pointsman.call("PUT", "/v1/maintenance", maintenance).status, 200);
    pointsman.start_rollout(r#"{"to": "green"}"#);
    eventually("four events", || first.events().len() >= 4);
    let events = first.events();
    let kinds: Vec<_> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds[..4], ["flip", "maintenance", "started", "step"], "from now on, as it happens");
    let row = pointsman.history().into_iter().find(|row| row["id"] == events[0].id).expect("a row");
    assert_eq!(row, events[0].data, "an event is a row of the history");
    let seen = events[1].id;
    assert_eq!(pointsman.cli(&["rollout", "abort", "web"]).code, 0);
    pointsman.row("aborted");
    let second = Stream::open(&pointsman, "/v1/events", Some(seen));
    eventually("the same", || !first.ids().is_empty() && second.ids().last() == first.ids().last());
    let missed: Vec<_> = first.ids().into_iter().filter(|id| *id > seen).collect();
    eventually("what was missed", || second.ids() == missed);

    let last = *missed.last().expect("an event");
    let pointsman = pointsman.kill_and_restart();
    eventually("the stream ends with its process", || first.has_ended());
    // Its version was aborted.
    let forced = pointsman.call("POST", "/v1/services/web/flip", "{\"to\": \"green\", \"force\": true}");
    assert_eq!(forced.status, 200, "{}", forced.text());
    let third = Stream::open(&pointsman, "/v1/events?service=web", Some(seen));
    eventually("all since", || third.events().last().is_some_and(|event| event.kind == "flip"));
    let ids = third.ids();
    assert!(ids.starts_with(&missed) && ids.iter().all(|id| *id > seen), "{ids:?} after {missed:?}");
    let rows: Vec<_> =
        pointsman.history().iter().filter_map(|row| row["id"].as_u64()).filter(|id| *id > seen).collect();
    assert_eq!(ids, rows.into_iter().rev().collect::<Vec<_>>(), "none twice, none lost");
    assert!(ids.last().is_some_and(|id| *id > last));
}

#[test]
fn health_is_told_when_it_changes_and_only_then() {
    let origin = Origin::named("blue");
    let text = format!(
        "[services.web.pools.blue]\nupstreams = [\"{0}\"]\nhealth = {{ path = \"/\", interval = \"20ms\", rise = 2, fall = 2 }}\n\
         [[routes]]\npath = \"/other\"\nservice = \"other\"\n[[routes]]\nservice = \"web\"\n\
         [services.other.pools.one]\nupstreams = [\"{0}\"]\n",
        origin.address
    );
    let pointsman = Pointsman::start(&text);
    let all = Stream::open(&pointsman, "/v1/events", Some(0));
    let other = Stream::open(&pointsman, "/v1/events?service=other", Some(0));
    let checked = origin.requests();
    eventually("some checks", || origin.requests() > checked + 5);
    assert_eq!(all.events().len(), 0, "an upstream that was presumed to be up and is");
    origin.react(|_| Reaction::Answer(503, "broken".into()));
    let health = || all.events().into_iter().filter(|event| event.kind == "health").collect::<Vec<_>>();
    eventually("down", || health().len() == 1);
    origin.react(|_| Reaction::ok("fine"));
    eventually("up", || health().len() == 2);
    let texts: Vec<_> = health().iter().map(|event| event.data["text"].to_string()).collect();
    assert!(texts[0].contains("of blue is down: GET ") && texts[1].contains("of blue is up"), "{texts:?}");
    // Nobody else can serve meanwhile, which the history says, too.
    let others = || all.events().into_iter().filter(|event| event.kind.starts_with("refuge")).count();
    eventually("the outage and its end", || others() == 2);
    assert_eq!(all.events().len(), 4);
    assert_eq!(pointsman.call("PUT", "/v1/maintenance", r#"{"status": "maintenance"}"#).status, 200);
    eventually("one for each service", || all.events().len() == 6);
    eventually("and its own", || other.events().len() == 1);
}

#[test]
fn streams_are_bounded_give_their_places_back_and_end_with_the_process() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&blue_green(nginx.addresses[0], nginx.addresses[1]));
    for (path, headers, status) in [
        ("/v1/events?service=nope", "", 404),
        ("/v1/events?since=1", "", 422),
        ("/v1/events", "Last-Event-ID: x\r\n", 422),
    ] {
        assert_eq!(pointsman.call_with("GET", path, headers, "").status, status, "{path} {headers}");
    }
    let request = b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut open: Vec<_> = (0..64)
        .map(|_| {
            let mut connection = super::harness::Connection::open(pointsman.admin);
            connection.write(request).expect("written");
            assert_eq!(connection.head().expect("a head").status, 200);
            connection
        })
        .collect();
    let full = pointsman.call("GET", "/v1/events", "");
    assert!(full.status == 503 && full.text().contains("64"), "{}", full.text());
    drop(open.pop());
    let mut last = Vec::new();
    eventually("a place is free again", || {
        let mut connection = super::harness::Connection::open(pointsman.admin);
        connection.write(request).expect("written");
        let status = connection.head().expect("a head").status;
        last.push(connection);
        status == 200
    });
    assert!(pointsman.terminate().0.success());
    let chunk = open[0].chunk();
    assert!(chunk.is_err() || chunk.is_ok_and(|piece| piece.is_empty()), "the stream has ended");
}
