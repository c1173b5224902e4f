//! The same requests to nginx and to Pointsman with the imported configuration: the answers and what
//! reaches the upstreams must be alike, but for differences that are listed with their reasons.

mod cases;
mod compare;
mod diff;
mod fronts;
mod furnish;
mod mutants;
mod origins;
mod questions;
mod secured;
mod site;

use cases::CASES;
use questions::marked;
use site::Site;

#[test]
fn an_imported_configuration_does_what_nginx_does() {
    let (mut alike, mut known, mut asked) = (0, 0, 0);
    let mut told = Vec::new();
    for (file, requests) in CASES {
        let hosts = ["tls.example", "other.example"];
        let site = Site::start(file, &hosts, true).unwrap_or_else(|error| panic!("{file}: {error}"));
        for request in *requests {
            asked += 1;
            let (mark, request) = marked(request);
            let (nginx, pointsman) = site.ask(request);
            let differences = compare::differences(&nginx, &pointsman);
            let leak = compare::leak(&nginx, &pointsman);
            told.extend(leak.map(|leak| format!("{file}: {request}: {leak}")));
            match (mark.as_deref(), differences.is_empty()) {
                (None, true) => alike += 1,
                (Some(mark), false) if compare::KNOWN.iter().any(|(name, _)| *name == mark) => known += 1,
                (Some(mark), _) => {
                    told.push(format!("{file}: {request}: {mark} is no difference, or not listed"))
                }
                (None, false) => {
                    told.extend(differences.iter().map(|what| format!("{file}: {request}: {what}")))
                }
            }
        }
    }
    println!(
        "conformance: {alike} of {asked} requests alike, {known} different as listed; {} configurations",
        CASES.len()
    );
    for (name, reason) in compare::KNOWN {
        println!("  known difference: {name}: {reason}");
    }
    assert!(told.is_empty(), "{}", told.join("\n"));
    assert!(CASES.len() >= 12 && asked >= 100, "{} configurations, {asked} requests", CASES.len());
}

/// In the manner of real ones. What nginx refuses is refused by all of them, whatever is pending.
#[test]
fn fronts_in_the_manner_of_real_ones_do_what_nginx_does() {
    let reports = fronts::reports("fronts");
    let sum = |count: fn(&fronts::Report) -> usize| reports.iter().map(count).sum::<usize>();
    let (asked, alike, known) = (sum(|r| r.asked), sum(|r| r.alike), sum(|r| r.known));
    let equivalent = reports.iter().filter(|report| report.is_equivalent()).count();
    println!(
        "fronts: {equivalent} of {} configurations equivalent; of {asked} requests {alike} alike, {known} different as listed",
        reports.len()
    );
    println!("{}", fronts::table(&reports));
    let leaks: Vec<&String> = reports.iter().flat_map(|report| &report.leaks).collect();
    let is_settled = |report: &&fronts::Report| report.pending.is_empty();
    let (settled, pending): (Vec<_>, Vec<_>) = reports.iter().partition(is_settled);
    for report in pending {
        report.differences.iter().take(fronts::shown()).for_each(|what| println!("  pending: {what}"));
    }
    let told: Vec<&String> = settled.iter().flat_map(|report| &report.differences).collect();
    told.iter().for_each(|what| println!("  {what}"));
    assert!(leaks.is_empty(), "given, where nginx refuses: {leaks:#?}");
    assert!(told.is_empty(), "{} differences, listed above", told.len());
}
