//! What clients that do nothing cost in memory, each kind beside nginx: `make memory`. Every figure is of
//! processes of its own; the first client of a kind has come and gone before it is taken.
//!
//! The resident set counts. What the kernel holds in socket buffers is not in it.

mod clients;
mod limit;

use crate::configs::Setup;
use crate::options::Options;
use crate::process::{Cpus, Process, machine};
use crate::proxies::{Contender, Origin, Running};
use clients::{Crowd, Kind, others};
use limit::Group;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// After the clients have left.
const GIVEN_BACK_AFTER: Duration = Duration::from_secs(20);
const LIMIT_KIB: f64 = 256.0 * 1024.0;
/// Memory that does not come to rest is read after so long.
const RESTLESS: Duration = Duration::from_secs(20);

/// What a crowd of one kind costs.
struct Row {
    title: &'static str,
    kind: Kind,
    must_kib: f64,
    /// Of what the clients took.
    must_give_back: Option<f64>,
}

const ROWS: [Row; 6] = [
    Row { title: "kept, plain", kind: Kind::Plain, must_kib: 4.0, must_give_back: Some(0.7) },
    Row { title: "kept, TLS", kind: Kind::Tls, must_kib: 20.0, must_give_back: Some(0.7) },
    Row { title: "kept, HTTP/2", kind: Kind::Http2, must_kib: 30.0, must_give_back: Some(0.7) },
    Row { title: "silent", kind: Kind::Silent, must_kib: 4.0, must_give_back: None },
    Row { title: "unread 50 MB", kind: Kind::Unread, must_kib: 100.0, must_give_back: None },
    Row { title: "unread, HTTP/2", kind: Kind::UnreadHttp2, must_kib: 150.0, must_give_back: None },
];

/// How many clients come.
struct Sizes {
    kept: usize,
    unread: usize,
    bounded: (usize, usize),
    given_back_after: Duration,
    is_smoke: bool,
    is_quick: bool,
    /// Memory is at rest once it has changed by less than 10 bytes a client for so long.
    rest: Duration,
}

impl Sizes {
    fn of(options: &Options) -> Self {
        let full = Sizes {
            kept: 10_000,
            unread: 200,
            bounded: (10_000, 600),
            given_back_after: GIVEN_BACK_AFTER,
            rest: Duration::from_secs(2),
            is_smoke: options.is_smoke,
            is_quick: options.is_quick,
        };
        match (options.is_smoke, options.is_quick) {
            (true, _) => Sizes {
                kept: 50,
                unread: 4,
                bounded: (100, 4),
                given_back_after: Duration::ZERO,
                rest: Duration::from_millis(200),
                ..full
            },
            (false, true) => Sizes { kept: 2_000, unread: 100, ..full },
            (false, false) => full,
        }
    }
}

pub(crate) fn run(options: &Options) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let (sizes, origin) = (Sizes::of(options), Origin::start(Cpus::for_one_worker()));
    let contenders: Vec<_> =
        Contender::all(&options.binaries).into_iter().filter(|one| *one != Contender::Haproxy).collect();
    println!("{}; memory of the processes (RSS)", machine());
    println!(
        "  {:<14} {:<18} {:>8} {:>10} {:>10} {:>11}",
        "", "", "clients", "MiB before", "MiB with", "KiB each"
    );
    for row in ROWS.iter().filter(|row| !options.is_smoke || row.kind == Kind::Http2) {
        for contender in &contenders {
            crowd(row, contender, &origin, &sizes, &runtime);
        }
    }
    for contender in &contenders {
        bounded(contender, &origin, &sizes, &runtime);
    }
    println!("  only Pointsman is held to what must be: +, or - for not yet");
}

/// A crowd comes; what it costs. It leaves; what is given back.
fn crowd(row: &Row, contender: &Contender, origin: &Origin, sizes: &Sizes, runtime: &Runtime) {
    let proxy = Running::start(contender, origin.address, Setup::PLAIN, Cpus::for_one_worker());
    let is_unread = matches!(row.kind, Kind::Unread | Kind::UnreadHttp2);
    let count = if is_unread { sizes.unread } else { sizes.kept };
    let enter = |count| runtime.block_on(Crowd::enter(row.kind, &proxy, count));
    // What is made once is not the crowd's.
    enter(1).leave();
    let before = at_rest(&proxy.process, 1, sizes.rest);
    let crowd = enter(count);
    let with = at_rest(&proxy.process, count, sizes.rest);
    let each = (with - before) / count as f64;
    print!(
        "  {:<14} {:<18} {count:>8} {:>10.1} {:>10.1} {each:>9.1} {} (≤ {:.0})",
        row.title,
        contender.label(),
        before / 1024.0,
        with / 1024.0,
        mark(contender, each <= row.must_kib),
        row.must_kib
    );
    assert!(!sizes.is_smoke || crowd.refused == 0, "clients were refused");
    if crowd.refused > 0 {
        print!("; {} REFUSED", crowd.refused);
    }
    crowd.leave();
    if let Some(must) = row.must_give_back.filter(|_| !sizes.is_quick || row.kind == Kind::Plain) {
        std::thread::sleep(sizes.given_back_after);
        let after = proxy.process.rss_kib();
        let share = (with - after) / (with - before);
        print!(
            "; {:.0} % given back {:?} after they left {} (≥ {:.0})",
            share * 100.0,
            sizes.given_back_after,
            mark(contender, share >= must),
            must * 100.0
        );
    }
    println!();
}

/// Many who keep their connections and many who do not read, in 256 MB, and whether others are served.
fn bounded(contender: &Contender, origin: &Origin, sizes: &Sizes, runtime: &Runtime) {
    let mut proxy = Running::start(contender, origin.address, Setup::PLAIN, Cpus::for_one_worker());
    let group = Group::around(&proxy.process, LIMIT_KIB);
    let (kept, unread) = sizes.bounded;
    let mut idle = runtime.block_on(Crowd::enter(Kind::Plain, &proxy, kept));
    let downloads = runtime.block_on(Crowd::enter(Kind::Unread, &proxy, unread));
    at_rest(&proxy.process, kept, sizes.rest);
    let (served, slowest) = runtime.block_on(others(proxy.plain, 200));
    let still = runtime.block_on(idle.still_served(100));
    let (is_alive, peak) = (proxy.process.is_alive(), proxy.process.peak_kib());
    let refused = idle.refused + downloads.refused;
    let good = is_alive && refused == 0 && served == 200 && still == 100.min(kept) && peak <= LIMIT_KIB;
    println!(
        "  256 MB         {:<18} {kept} kept and {unread} unread ({refused} refused): {}, at most {:.0} MiB; {served} of 200 others served, \
         the slowest in {slowest:.1?}; {still} of {} kept ones {} ({})",
        contender.label(),
        if is_alive { "alive" } else { "DEAD" },
        peak / 1024.0,
        100.min(kept),
        mark(contender, good),
        if group.is_some() { "in a control group" } else { "no control group: RSS alone" }
    );
    idle.leave();
    downloads.leave();
    drop(proxy);
    drop(group);
}

fn mark(contender: &Contender, is_reached: bool) -> char {
    match contender {
        Contender::Pointsman { .. } if is_reached => '+',
        Contender::Pointsman { .. } => '-',
        _ => ' ',
    }
}

/// Memory once it no longer changes.
fn at_rest(process: &Process, clients: usize, rest: Duration) -> f64 {
    let since = Instant::now();
    let (mut changed, mut last) = (since, process.rss_kib());
    while changed.elapsed() < rest && since.elapsed() < RESTLESS {
        std::thread::sleep(Duration::from_millis(100));
        let now = process.rss_kib();
        if (now - last).abs() > 4.0 + clients as f64 / 100.0 {
            (changed, last) = (Instant::now(), now);
        }
    }
    process.rss_kib()
}
