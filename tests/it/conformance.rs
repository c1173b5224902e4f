//! The same requests to nginx and to Pointsman with the imported configuration: the answers and what
//! reaches the upstreams must be alike, but for differences that are listed with their reasons.

mod cases;
mod compare;
mod secured;
mod site;

use cases::CASES;
use site::Site;

#[test]
fn an_imported_configuration_does_what_nginx_does() {
    let (mut alike, mut known, mut asked) = (0, 0, 0);
    let mut told = Vec::new();
    for (file, requests) in CASES {
        let site = Site::start(file);
        for request in *requests {
            asked += 1;
            let (mark, request) = marked(request);
            let (nginx, pointsman) = site.ask(request);
            let differences = compare::differences(&nginx, &pointsman);
            match (mark, differences.is_empty()) {
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

/// A request, and the name of the difference that is expected of it.
fn marked(text: &str) -> (Option<&str>, &str) {
    match text.strip_prefix('(').and_then(|rest| rest.split_once(") ")) {
        Some((mark, request)) => (Some(mark), request),
        None => (None, text),
    }
}
