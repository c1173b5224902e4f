//! `[services.*.mirror]`: how requests are copied to a candidate in a rollout's mirror steps.

use super::reader::{Item, Section};
use crate::core::mirror::compare::{Body, Compare};
use crate::core::mirror::{Mirror, Pointer};
use http::HeaderName;

/// Largest body that may be compared, in all of the copies under way, and the default.
const MOST: u64 = 10 << 20;
const MOST_AT_A_TIME: u64 = 256 << 20;
const LIMIT: u64 = 64 << 10;

pub(super) fn read(section: &Section<'_>) -> Mirror {
    let default = Mirror::default();
    let mirror = Mirror {
        in_flight: section.read("in_flight", u64::from(default.in_flight), |item| item.integer(1..=10_000))
            as u32,
        compare: section.item("compare").and_then(|item| {
            let section = item.section()?;
            let compare = compare(&item, &section);
            section.finish();
            compare
        }),
    };
    let kept =
        mirror.compare.as_ref().map_or(0, |compare| compare.limit as u64 * u64::from(mirror.in_flight));
    if kept > MOST_AT_A_TIME {
        section.fault("in_flight times compare.limit is what may be kept in memory: at most 256M");
    }
    section.finish();
    mirror
}

fn compare(item: &Item<'_>, section: &Section<'_>) -> Option<Compare> {
    let bodies = [("json", Body::Json), ("bytes", Body::Bytes), ("off", Body::Off)];
    let compare = Compare {
        status: section.read("status", true, Item::bool),
        headers: section.read("headers", Vec::new(), |item| {
            Some(item.array()?.iter().filter_map(|item| item.parsed(header)).collect())
        }),
        body: section.read("body", Body::Off, |item| item.choice(&bodies)),
        ignore: section.read("ignore", Vec::new(), |item| {
            Some(item.array()?.iter().filter_map(|item| item.parsed(str::parse::<Pointer>)).collect())
        }),
        limit: section.read("limit", LIMIT, limit) as usize,
    };
    if let Some(ignore) = section.item("ignore").filter(|_| compare.body != Body::Json) {
        ignore.fault("names places in JSON, and has no effect without body = \"json\"");
    }
    if let Some(limit) = section.item("limit").filter(|_| compare.body == Body::Off) {
        limit.fault("has no effect without body = \"json\" or \"bytes\"");
    }
    let nothing = !compare.status && compare.headers.is_empty() && compare.body == Body::Off;
    if nothing {
        item.fault("compares nothing; take it out, or write { status = true }");
    }
    (!nothing).then_some(compare)
}

fn header(text: &str) -> Result<HeaderName, String> {
    HeaderName::try_from(text).map_err(|_| format!("\"{text}\" is no name of a header field"))
}

fn limit(item: &Item<'_>) -> Option<u64> {
    item.size_within(1..=MOST, "must be from 1 to 10M")
}

#[cfg(test)]
mod tests {
    use crate::config::{Faults, diff, parse};
    use crate::core::mirror::Mirror;
    use crate::core::mirror::compare::Body;
    use crate::core::policy::Limit;
    use crate::core::settings::Config;
    use std::path::Path;

    const MINIMAL: &str = include_str!("../../conf/minimal.toml");

    fn read(keys: &str) -> Result<Config, Faults> {
        parse(&format!("{MINIMAL}\n{keys}"), "test.toml", &|_| None, Path::new("/nowhere"))
    }

    #[test]
    fn what_is_mirrored_and_compared() {
        let keys = r#"
            [services.web.mirror]
            in_flight = 8
            compare = { status = false, headers = ["Content-Type"], body = "json", ignore = ["/at", "/items/*/id"], limit = "1k" }
            [services.web.rollout]
            steps = [{ mirror = 10, hold = "5m" }, { mirror = 50, hold = "1m", gate = true }, { weight = 100 }]
            [policies.default]
            differences = { warning = "0.5%", critical = "2%" }
        "#;
        let config = read(keys).expect("accepted");
        let web = &config.services["web"];
        let shown: Vec<_> = web.rollout.steps.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["10 % mirrored", "50 % mirrored", "100 %"]);
        assert!(web.rollout.steps[1].gate && web.rollout.steps[0].weight.get() == 0);
        let compare = web.mirror.compare.as_ref().expect("compared");
        assert_eq!((web.mirror.in_flight, compare.status, compare.body), (8, false, Body::Json));
        assert_eq!((compare.headers[0].as_str(), compare.limit), ("content-type", 1024));
        assert_eq!(
            compare.ignore.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["/at", "/items/*/id"]
        );
        let policy = web.policy.as_ref().expect("a policy");
        assert_eq!(policy.limits, [Limit::Differences { warning: Some(0.005), critical: Some(0.02) }]);
        assert_eq!(*read("").expect("accepted").services["web"].mirror, Mirror::default());
    }

    #[test]
    fn a_reload_tells_of_it() {
        let (old, new) = (read("").expect("accepted"), read("[services.web.mirror]\nin_flight = 8"));
        let (changed, restart) = diff(&old, &new.expect("accepted"));
        assert_eq!((changed, restart), (vec!["services.web.mirror".to_owned()], vec![]));
    }

    #[test]
    fn faults_name_their_place_and_what_helps() {
        for (keys, told) in [
            ("[services.web.mirror]\nin_flight = 0", "mirror.in_flight: must be from 1 to 10000"),
            ("[services.web.mirror]\ninflight = 1", "mirror.inflight: unknown key; did you mean in_flight?"),
            ("[services.web.mirror]\ncompare = { status = false }", "mirror.compare: compares nothing"),
            (
                "[services.web.mirror]\ncompare = { body = \"hash\" }",
                "compare.body: \"hash\" is none of json, bytes, off",
            ),
            (
                "[services.web.mirror]\ncompare = { headers = [\"a b\"] }",
                "headers[0]: \"a b\" is no name of a header",
            ),
            (
                "[services.web.mirror]\ncompare = { body = \"json\", ignore = [\"at\"] }",
                "compare.ignore[0]: \"at\" is no JSON pointer",
            ),
            (
                "[services.web.mirror]\ncompare = { body = \"bytes\", ignore = [\"/at\"] }",
                "compare.ignore: names places in JSON",
            ),
            (
                "[services.web.mirror]\ncompare = { limit = \"1k\" }",
                "compare.limit: has no effect without body",
            ),
            (
                "[services.web.mirror]\ncompare = { body = \"bytes\", limit = \"1G\" }",
                "compare.limit: must be from 1 to 10M",
            ),
            (
                "[services.web.mirror]\nin_flight = 1000\ncompare = { body = \"bytes\", limit = \"1M\" }",
                "services.web.mirror: in_flight times compare.limit is what may be kept in memory",
            ),
            ("[policies.default]\ndifferences = {}", "differences: sets neither warning nor critical"),
        ] {
            refused(keys, told);
        }
    }

    #[test]
    fn faulty_steps_name_their_place_too() {
        for (keys, told) in [
            (
                "[services.web.rollout]\nsteps = [{ mirror = 10, weight = 5 }, { weight = 100 }]",
                "steps[0].weight: stands beside mirror",
            ),
            (
                "[services.web.rollout]\nsteps = [{ hold = \"5m\" }, { weight = 100 }]",
                "steps[0].weight: is missing; percent of the traffic; or mirror",
            ),
            (
                "[services.web.rollout]\nsteps = [{ mirror = 101 }, { weight = 100 }]",
                "steps[0].mirror: must be from 0 to 100",
            ),
            (
                "[services.web.rollout]\nsteps = [{ weight = 5 }, { mirror = 10 }, { weight = 100 }]",
                "rollout: steps[1]: a mirror step stands before the first weight",
            ),
            (
                "[services.web.rollout]\nsteps = [{ mirror = 10 }]",
                "rollout: steps[0]: the last step must have weight 100",
            ),
            (
                "[services.web.rollout]\nsteps = [{ mirror = 0 }, { weight = 100 }]",
                "rollout: steps[0]: mirror must be above 0",
            ),
        ] {
            refused(keys, told);
        }
    }

    fn refused(keys: &str, told: &str) {
        let text = read(keys).expect_err(keys).to_string();
        assert!(text.contains(told), "{keys}\n{text}");
        assert!(text.lines().any(|line| line.starts_with("test.toml:")), "{text}");
    }
}
