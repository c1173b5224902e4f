//! Whom the replay is about: the service, the candidate and the pool that it is compared with.

use super::super::client::Failure;
use super::asked::Replay;
use super::logs::Logs;
use serde::Serialize;

/// What requests belong to where a log tells neither pool nor upstream.
pub(super) const ALL: &str = "all";
/// A pool that was not there for so many attempts on others came later: in a split it would have had one.
const LATER: u64 = 500;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Roles {
    /// Absent where the log tells of none.
    pub service: Option<String>,
    pub candidate: String,
    pub stable: Option<String>,
    /// How they were found, where nobody said.
    pub because: Option<String>,
}

/// A pool as it appears in the log.
#[derive(Debug)]
struct Seen {
    service: String,
    pool: String,
    attempts: u64,
    /// Attempts on the service's other pools before its first.
    before: u64,
}

impl Roles {
    pub(super) fn find(asked: &Replay, logs: &Logs) -> Result<Self, Failure> {
        if let (Some(candidate), true) = (&asked.candidate, asked.service.is_some() && asked.stable.is_some())
        {
            let (service, stable) = (asked.service.clone(), asked.stable.clone());
            return Ok(Roles { service, candidate: candidate.clone(), stable, because: None });
        }
        if logs.is_stream() {
            let why = "standard input is read once; say --service, --candidate and --stable";
            return Err(Failure::Other(why.into()));
        }
        choose(asked, look(logs)?)
    }

    pub(super) fn has(&self, service: &str) -> bool {
        self.service.as_deref().is_none_or(|own| own == service)
    }

    pub(super) fn named(pool: &str) -> &str {
        if pool.is_empty() { ALL } else { pool }
    }
}

fn look(logs: &Logs) -> Result<Vec<Seen>, Failure> {
    let mut seen: Vec<Seen> = Vec::new();
    logs.each(|_, said| {
        for tried in &said.tried {
            let pool = Roles::named(&tried.pool);
            match seen.iter_mut().find(|seen| seen.pool == pool && seen.service == said.service) {
                Some(seen) => seen.attempts += 1,
                None => {
                    let (service, pool) = (said.service.to_string(), pool.to_owned());
                    let others = seen.iter().filter(|seen| seen.service == service);
                    let before = others.map(|seen| seen.attempts).sum();
                    seen.push(Seen { service, pool, attempts: 1, before });
                }
            }
        }
    })?;
    Ok(seen)
}

fn choose(asked: &Replay, mut seen: Vec<Seen>) -> Result<Roles, Failure> {
    let service = service(asked, &seen)?;
    seen.retain(|seen| seen.service == service);
    let known = |pool: &String| match seen.iter().any(|seen| seen.pool == *pool) {
        true => Ok(pool.clone()),
        false => {
            let pools: Vec<_> = seen.iter().map(|seen| seen.pool.as_str()).collect();
            Err(Failure::Other(format!("the log has no pool {pool}; it has {}", pools.join(", "))))
        }
    };
    let named = asked.candidate.as_ref().map(known).transpose()?;
    let stable = asked.stable.as_ref().map(known).transpose()?;
    let rest: Vec<&Seen> = seen.iter().filter(|seen| Some(&seen.pool) != stable.as_ref()).collect();
    let (found, because) = match (&named, likely(&rest)) {
        (Some(_), _) => (None, None),
        (None, Some(only)) if seen.len() == 1 => (Some(only), Some("is the only pool of the log")),
        (None, Some(found)) if found.before >= LATER => (Some(found), Some("appears later than the others")),
        (None, Some(found)) => (Some(found), Some("has the least traffic")),
        (None, None) => {
            return Err(Failure::Other("the log has no pool but stable; say --candidate".into()));
        }
    };
    let because = found.zip(because);
    let because = because.map(|(found, why)| format!("{} {why}; --candidate says otherwise", found.pool));
    let candidate = named.or(found.map(|seen| seen.pool.clone())).unwrap_or_default();
    let others = seen.iter().filter(|seen| seen.pool != candidate);
    let stable = stable.or(others.max_by_key(|seen| seen.attempts).map(|seen| seen.pool.clone()));
    if stable.as_ref() == Some(&candidate) {
        return Err(Failure::Other(format!(
            "{candidate} cannot be compared with itself; say another --stable"
        )));
    }
    let service = Some(service).filter(|service| !service.is_empty());
    Ok(Roles { service, candidate, stable, because })
}

/// Which of the log's services it is about; an empty one where the log tells of none.
fn service(asked: &Replay, seen: &[Seen]) -> Result<String, Failure> {
    let mut services: Vec<_> = seen.iter().map(|seen| seen.service.clone()).collect();
    services.sort_unstable();
    services.dedup();
    let all = services.join(", ");
    let why = match (&asked.service, services.as_slice()) {
        (Some(service), known) if known.contains(service) => return Ok(service.clone()),
        (None, [one]) => return Ok(one.clone()),
        (_, []) => "no line tells of a request to an upstream; is it an access log? nginx needs \
                    $upstream_response_time or $upstream_addr in its log_format"
            .to_owned(),
        (Some(_), [none]) if none.is_empty() => {
            "the log tells of no services; leave --service out".to_owned()
        }
        (Some(service), _) => format!("the log has no service {service}; it has {all}"),
        (None, _) => format!("the log has the services {all}; say --service"),
    };
    Err(Failure::Other(why))
}

/// The pool that came later; where all were there from the start, the one with the least traffic.
fn likely<'a>(seen: &[&'a Seen]) -> Option<&'a Seen> {
    let later = seen.iter().filter(|seen| seen.before >= LATER).max_by_key(|seen| seen.before);
    let least = || seen.iter().min_by_key(|seen| (seen.attempts, std::cmp::Reverse(seen.before)));
    later.or_else(least).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        replay: Replay,
    }

    fn chosen(args: &[&str], seen: &[(&str, &str, u64, u64)]) -> Result<Roles, String> {
        let typed = Typed::parse_from([&["x", "--policy", "p.toml"], args].concat());
        let seen = seen.iter().map(|(service, pool, attempts, before)| Seen {
            service: (*service).to_owned(),
            pool: (*pool).to_owned(),
            attempts: *attempts,
            before: *before,
        });
        choose(&typed.replay, seen.collect()).map_err(|failure| failure.to_string())
    }

    #[test]
    fn the_candidate_is_the_smaller_pool_unless_said() {
        let web = [("web", "blue", 100, 0), ("web", "green", 5, 50)];
        let roles = chosen(&[], &web).expect("roles");
        assert_eq!((roles.candidate.as_str(), roles.stable.as_deref()), ("green", Some("blue")));
        assert!(roles.because.is_some_and(|why| why.contains("least traffic")));
        let roles = chosen(&["--candidate", "blue"], &web).expect("roles");
        assert_eq!((roles.candidate.as_str(), roles.stable.as_deref()), ("blue", Some("green")));
        let promoted = [("web", "blue", 1000, 0), ("web", "green", 9000, 900)];
        let roles = chosen(&[], &promoted).expect("roles");
        assert!(roles.candidate == "green" && roles.because.is_some_and(|why| why.contains("later")));
        let even = [("", "blue", 9, 0), ("", "green", 9, 2)];
        assert_eq!(chosen(&[], &even).expect("roles").candidate, "green", "the later one");
        let one = chosen(&[], &[("", "all", 9, 1)]).expect("roles");
        assert_eq!((one.candidate.as_str(), one.stable, one.service), ("all", None, None));
    }

    #[test]
    fn what_is_not_in_the_log_is_refused() {
        let two = [("web", "blue", 100, 1), ("api", "blue", 5, 50)];
        assert!(chosen(&[], &two).is_err_and(|why| why.contains("api, web; say --service")));
        assert!(
            chosen(&["--service", "x"], &[("", "blue", 9, 0)])
                .is_err_and(|why| why.contains("leave --service out"))
        );
        assert!(chosen(&["--service", "x"], &two).is_err_and(|why| why.contains("no service x")));
        assert!(
            chosen(&["--candidate", "x", "--service", "web"], &two)
                .is_err_and(|why| why.contains("no pool x"))
        );
        let same = ["--candidate", "blue", "--stable", "blue", "--service", "web"];
        assert!(chosen(&same, &two).is_err_and(|why| why.contains("with itself")));
        assert!(chosen(&[], &[]).is_err_and(|why| why.contains("upstream")));
    }
}
