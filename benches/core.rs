//! What the request path pays for the split and for measuring.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark"
)]

use pointsman::core::balance::mix;
use pointsman::core::client::ClientKey;
use pointsman::core::cohort::{CohortIdentity, CookieKeys, Split};
use pointsman::core::condition::{Condition, Questioned, Requirement, ValueTest};
use pointsman::core::group::{GroupEvent, Groups, Shape, Side, name};
use pointsman::core::headers::Value;
use pointsman::core::limit::buckets::Buckets;
use pointsman::core::limit::counts::Counts;
use pointsman::core::limit::rate::Rate;
use pointsman::core::lookup::{Lookup, LookupKey, LookupTable};
use pointsman::core::outcome::{ArmId, Outcome, SlowLimits, Thresholds};
use pointsman::core::secret::Secret;
use pointsman::core::template::{Template, Vocabulary};
use pointsman::core::variable::{Facts, Variable};
use pointsman::core::weight::{BasisPoints, Picker};
use pointsman::observe::recorder::Recorder;
use pointsman::observe::shard::AnswerEnd;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// One value of a measurement takes about this long.
const SAMPLE: Duration = Duration::from_millis(20);
const SAMPLES: usize = 101;

fn main() {
    for measured in [pick, pick_for_a_user, record, limit, record_alone, record_compared, group, values] {
        measured();
    }
}

/// Prints the median time of one run, and the middle half of all values. `cargo test` runs it once.
fn measure(name: &str, mut run: impl FnMut()) {
    if !std::env::args().any(|argument| argument == "--bench") {
        run();
        return println!("{name}: runs");
    }
    let mut time_of = |runs: u32| {
        let since = Instant::now();
        (0..runs).for_each(|_| run());
        since.elapsed()
    };
    let mut runs = 1;
    while time_of(runs) < SAMPLE {
        runs *= 2;
    }
    let mut values: Vec<f64> =
        (0..SAMPLES).map(|_| time_of(runs).as_secs_f64() * 1e9 / f64::from(runs)).collect();
    values.sort_by(f64::total_cmp);
    let [low, median, high] = [1, 2, 3].map(|quarter| values[SAMPLES * quarter / 4]);
    println!("{name}: {median:.1} ns ({low:.1} to {high:.1})");
}

fn pick() {
    let weights = vec![BasisPoints::new(100).expect("1 %"); 100];
    let picker = Picker::new(&weights);
    let mut draw = 0_u64;
    measure("pick one of 100 pools", || {
        draw += 1;
        black_box(picker.pick(mix(draw) as u32));
    });
}

/// A user who keeps their pool: by the address, and by a cookie that is verified first.
fn pick_for_a_user() {
    let weights = [BasisPoints::new(9500).expect("95 %"), BasisPoints::new(500).expect("5 %")];
    let (split, picker) = (Split::new(&weights, &weights, 0), Picker::new(&weights));
    let secret = Secret::new([7; 32]);
    let (key, cookies) = (secret.short_key("draw", "web"), CookieKeys::of(&secret));
    let mut n = 0_u32;
    measure("pick for a user, by the address", || {
        n = n.wrapping_add(1);
        black_box(split.pick(CohortIdentity::Address(n.to_be_bytes().into()).point(&key), &picker));
    });
    let value = cookies.write(cookies.welcome(1, 1));
    measure("pick for a user, by the cookie", || {
        let user = cookies.read(black_box(&value)).expect("ours");
        black_box(split.pick(CohortIdentity::User(user.id).point(&key), &picker));
    });
}

/// Records on one shard while another thread records on its own.
fn record() {
    let recorder = Recorder::new(2);
    let arm = recorder.arm("web", "green").expect("an arm");
    let mut limits = SlowLimits::default();
    limits.0[..2].copy_from_slice(&[1_000_000, 2_000_000]);
    let stop = AtomicBool::new(false);
    let (mine, other) = (recorder.shard(0), recorder.shard(1));
    let outcome = |shard: &pointsman::observe::shard::Shard, arm: ArmId, now: u64| {
        let started = shard.start(arm, now, ClientKey::NAMELESS);
        shard.answered(arm, started, now + 300 + (now & 0x3ff), (Outcome::Success, 200), &limits.into());
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut now = 0;
            while !stop.load(Ordering::Relaxed) {
                now += 20;
                outcome(&other, arm, now);
            }
        });
        let mut now = 0;
        measure("record an outcome, two threads", || {
            now += 20;
            outcome(&mine, arm, black_box(now));
        });
        stop.store(true, Ordering::Relaxed);
    });
}

/// The same without the other thread.
fn record_alone() {
    let recorder = Recorder::new(1);
    let arm = recorder.arm("web", "green").expect("an arm");
    let mut limits = SlowLimits::default();
    limits.0[..2].copy_from_slice(&[1_000_000, 2_000_000]);
    let shard = recorder.shard(0);
    let mut now = 0;
    measure("record an outcome, one thread", || {
        now += 20;
        let started = shard.start(arm, black_box(now), ClientKey::NAMELESS);
        shard.answered(arm, started, now + 300 + (now & 0x3ff), (Outcome::Success, 200), &limits.into());
    });
}

/// The same while the pool is compared with another, with the time to the last byte.
fn record_compared() {
    let recorder = Recorder::new(1);
    let arm = recorder.arm("web", "green").expect("an arm");
    let thresholds = Thresholds { is_compared: true, ..Thresholds::default() };
    let shard = recorder.shard(0);
    let mut now = 0;
    measure("record an outcome and its end, compared", || {
        now += 20;
        let started = shard.start(arm, black_box(now), ClientKey::NAMELESS);
        let at = now + 300 + (now & 0x3ff);
        shard.answered(arm, started, at, (Outcome::Success, 200), &thresholds);
        shard.finished(arm, started, at, (at - now, AnswerEnd::Whole), &thresholds);
    });
}

/// The shape of a path, and counting in its group.
fn group() {
    let paths =
        ["/", "/checkout", "/api/users/4711/orders?page=2", "/assets/app.3f2a9c81.js"].map(str::as_bytes);
    let (groups, mut n) = (Groups::new(64, 1), 0_usize);
    measure("the shape of a path", || {
        n += 1;
        black_box(Shape::of(3, b"GET", black_box(paths[n % paths.len()])));
    });
    measure("the shape of a path, and a count in its group", || {
        n += 1;
        let path = paths[n % paths.len()];
        let id = groups.of(Shape::of(3, b"GET", black_box(path)), true, || name("GET", path));
        groups.count(0, Side::Candidate, id, GroupEvent::Decided { failed: false, late: Some(0) });
    });
}

/// A request of one of many clients, by one limit.
fn limit() {
    let rate = Rate { requests: 60, period: Duration::from_secs(1), burst: 20 };
    let buckets = Buckets::new(65_536);
    let mut n = 0_u64;
    measure("count a request by a rate limit, 20,000 clients", || {
        n += 1;
        let _ = black_box(buckets.take(&rate, mix(n % 20_000), Duration::from_micros(n * 20)));
    });
    let counts = Arc::new(Counts::new(65_536));
    measure("count a request under way, and its end", || {
        n += 1;
        black_box(counts.enter(mix(n % 20_000), 20).is_some());
    });
}

/// A request that texts refer to.
struct Asked(http::request::Parts);

impl Questioned for Asked {
    fn facts(&self) -> Facts<'_> {
        let path = self.0.uri.path();
        Facts { host: "shop.dev", authority: "shop.dev", path, head: Some(&self.0), ..Facts::NONE }
    }

    fn is_file(&self, _: &Path) -> bool {
        false
    }
}

/// A look-up of a text that is there, or that a pattern finds, whose group is in the value.
fn look_up(exact: &str) -> Lookup {
    let mut table = LookupTable::default();
    for (key, value) in [(exact, "shop"), ("~^(?<app>[a-z]+)[.]dev$", "dev-$app")] {
        let key = LookupKey::parse(key, false).expect("a key");
        let words = Vocabulary { pattern: key.pattern(), ..Vocabulary::of_requests() };
        let value = Template::parse(value, &words).expect("a text");
        table.add(key, value);
    }
    let of = Template::parse("$host", &Vocabulary::of_requests()).expect("a text");
    Lookup::new(of, table, Template::empty(), String::new())
}

/// What a route with a condition, a look-up and three fields of variables does more than one without.
fn values() {
    let request =
        http::Request::get("/a/b?c=d").header("user-agent", "curl/8").header("cookie", "a=b; plan=gold");
    let asked = Asked(request.body(()).expect("a request").into_parts().0);
    let found = [("exact", look_up("shop.dev")), ("pattern", look_up("a.example"))];
    let text = |text: &str, names: &BTreeMap<String, Variable>| {
        let words = Vocabulary { names: Some(names), ..Vocabulary::of_requests() };
        Template::parse(text, &words).expect("a text")
    };
    let of = text("$request_method", &BTreeMap::new());
    let value = Requirement { of, value: ValueTest::Equals(b"GET"[..].into()), is_not: false };
    let when = Condition { values: vec![value], ..Condition::default() };
    let holds = || when.holds(black_box(&asked.0), [192, 0, 2, 1].into(), &asked);
    measure("a condition on a text", || assert!(black_box(holds())));
    for (by, lookup) in found {
        let names = BTreeMap::from([("app".to_owned(), Variable::Named(Arc::new(lookup)))]);
        let fields = ["$app", "$http_user_agent/$cookie_plan", "$scheme://$host"];
        let fields = fields.map(|field| Value::Template(text(field, &names)));
        let first = fields.first().expect("a field");
        let mut filled = Vec::new();
        measure(&format!("a field of a look-up, by the {by}"), || {
            black_box(first.of(Some(&asked.facts()), &mut filled));
        });
        measure(&format!("a condition, a look-up by the {by}, three fields"), || {
            assert!(black_box(holds()));
            let facts = asked.facts();
            fields.iter().for_each(|field| drop(black_box(field.of(Some(&facts), &mut filled))));
        });
    }
}
