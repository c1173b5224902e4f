//! `[policies.*]`.

use super::{ConfigKey, KeyPage, KeyTable, key};

pub(super) const PAGE: KeyPage = KeyPage {
    file: "policies",
    tables: &[
        KeyTable {
            places: &["policies"],
            about: "Policies by name. A service without `policy` has `default`, which is there without being written: \
                    `error_rate = { warning = \"0.5%\", critical = \"1%\" }`, `latency_p95 = { warning = \"1s\", critical = \
                    \"2s\" }`, `health = { critical = true }`.",
            keys: &[key("*", &["{ error_rate = { critical = \"0.5%\" } }"], "A policy.")],
        },
        KeyTable {
            places: &["policies.*"],
            about: "The limits that a candidate must keep, at least one. A broken warning holds a rollout, a broken critical \
                    level aborts it. How the evidence is weighed: [how it decides](../how-it-decides.md).",
            keys: POLICY,
        },
        KeyTable {
            places: &["policies.*.error_rate", "policies.*.abandoned", "policies.*.differences"],
            about: "Levels of a share; at least one, and the warning below the critical.",
            keys: SHARES,
        },
        KeyTable {
            places: &[
                "policies.*.latency_p50",
                "policies.*.latency_p90",
                "policies.*.latency_p95",
                "policies.*.latency_p99",
            ],
            about: "Levels of the time to the head of an answer.",
            keys: LATENCY,
        },
        KeyTable {
            places: &[
                "policies.*.duration_p50",
                "policies.*.duration_p90",
                "policies.*.duration_p95",
                "policies.*.duration_p99",
            ],
            about: "Levels of the time to the last byte of an answer.",
            keys: DURATION,
        },
        KeyTable {
            places: &["policies.*.relative"],
            about: "What follows where a candidate keeps its limits, but has more events of a kind than stable.",
            keys: RELATIVE,
        },
        KeyTable {
            places: &["policies.*.failures"],
            about: "Which answers count as failures; an empty list is none.",
            keys: FAILURES,
        },
        KeyTable {
            places: &["policies.*.health"],
            about: "What follows where an upstream of the candidate is found down, or is taken out for failing most of its \
                    requests.",
            keys: HEALTH,
        },
        KeyTable {
            places: &["policies.*.signals[]"],
            about: "A number that upstreams publish, with its levels; at least one of the two.",
            keys: SIGNALS,
        },
    ],
};

const POLICY: &[ConfigKey] = &[
    key("mode", &["\"window\""], "`evidence`: tests that are right at any time; `window`: the plain rule, with false alarms.")
        .or("\"evidence\""),
    key("alpha", &["0.01"], "False aborts that are tolerated within `horizon` attempts.").or("0.001"),
    key("horizon", &["100000"], "Attempts that `alpha` is for.").or("1000000"),
    key("error_rate", &["{ warning = \"0.5%\", critical = \"1%\" }"], "The share of attempts that fail."),
    key("latency_p50", &["{ critical = \"500ms\" }"], "The time to the head of half of the answers."),
    key("latency_p90", &["{ critical = \"1s\" }"], "Of 90 %."),
    key("latency_p95", &["{ warning = \"1s\", critical = \"2s\" }"], "Of 95 %."),
    key("latency_p99", &["{ critical = \"5s\" }"], "Of 99 %."),
    key(
        "duration_p50",
        &["{ critical = \"5s\" }"],
        "The time to the last byte of half of the answers, without the time that the client makes it wait; no streams.",
    ),
    key("duration_p90", &["{ critical = \"10s\" }"], "Of 90 %."),
    key("duration_p95", &["{ warning = \"30s\", critical = \"1m\" }"], "Of 95 %."),
    key("duration_p99", &["{ critical = \"2m\" }"], "Of 99 %."),
    key(
        "abandoned",
        &["{ warning = \"10%\", critical = \"20%\" }"],
        "The share of clients that left before the head of the answer, after 50 ms at least.",
    ),
    key(
        "differences",
        &["{ warning = \"0.5%\", critical = \"2%\" }"],
        "The share of answers to copies that differ from stable's; see `mirror.compare`.",
    ),
    key("failures", &["{ statuses = [\"500-599\", 429] }"], "Which answers count as failures."),
    key("groups", &["16"], "Groups of requests (method, route, shape of the path) that are held against the limits on their own; 0: none.")
        .or("64"),
    key("relative", &["\"off\"", "{ errors = \"abort\" }"], "More events than stable; one word is for all kinds.")
        .or("{ errors = \"hold\", abandoned = \"abort\", latency = \"hold\", duration = \"hold\", statuses = \"hold\" }"),
    key("relative_ratio", &["2.5"], "How many times as often as stable it may have them.").or("1.5"),
    key("on_shared_outage", &["\"abort\""], "The limit is broken by both, and by the candidate no worse.").or("\"hold\""),
    key("min_clients", &["3"], "Clients (by address, IPv6 by /64) whose requests must fail.").or("1"),
    key("health", &["{ critical = true }"], "An upstream of the candidate is down.").otherwise("nothing follows"),
    key(
        "signals",
        &["[{ name = \"db_connections\", from = \"/metrics.json\", at = \"/db/connections\", critical = 15 }]"],
        "Numbers that upstreams publish.",
    )
    .or("[]"),
    key("window", &["\"5m\""], "How far back the figures reach that are shown; in mode `window` they decide.").or("\"1m\""),
    key("min_sample", &["200"], "In mode `window`: from so many requests on.").or("500"),
];

const SHARES: &[ConfigKey] =
    &[key("warning", &["\"0.5%\""], "Holds the rollout."), key("critical", &["\"1%\""], "Aborts it.")];

const LATENCY: &[ConfigKey] =
    &[key("warning", &["\"1s\""], "Holds the rollout."), key("critical", &["\"2s\""], "Aborts it.")];

const DURATION: &[ConfigKey] =
    &[key("warning", &["\"30s\""], "Holds the rollout."), key("critical", &["\"1m\""], "Aborts it.")];

const RELATIVE: &[ConfigKey] = &[
    key("errors", &["\"abort\""], "Failures.").or("\"hold\""),
    key("abandoned", &["\"off\""], "Clients that left.").or("\"abort\""),
    key("latency", &["\"off\""], "Slow heads of answers.").or("\"hold\""),
    key("duration", &["\"off\""], "Slow answers.").or("\"hold\""),
    key("statuses", &["\"off\""], "4xx, 3xx and empty answers.").or("\"hold\""),
];

const FAILURES: &[ConfigKey] = &[
    key("statuses", &["[\"500-599\", 429]"], "Statuses, 200 to 599, and ranges of them.").or("[\"500-599\"]"),
    key("grpc", &["[\"UNAVAILABLE\", 13]"], "Statuses of gRPC, by name or number.")
        .or("[\"UNKNOWN\", \"DEADLINE_EXCEEDED\", \"INTERNAL\", \"UNAVAILABLE\", \"DATA_LOSS\"]"),
];

const HEALTH: &[ConfigKey] = &[
    key("warning", &["true"], "Holds the rollout.").or("false"),
    key("critical", &["true"], "Aborts it.").or("false"),
];

const SIGNALS: &[ConfigKey] = &[
    key("name", &["\"db_connections\""], "Its name: `a-z`, `0-9` and `_`."),
    key("from", &["\"/metrics.json\""], "The path that is asked."),
    key(
        "at",
        &["\"/db/connections\"", "\"process_resident_memory_bytes\""],
        "Where it stands: a JSON pointer, or a sample of Prometheus.",
    ),
    key("warning", &["10"], "Holds the rollout."),
    key("critical", &["15", "2e9"], "Aborts it."),
    key("interval", &["\"10s\""], "The time between two readings.").or("\"5s\""),
    key("timeout", &["\"500ms\""], "How long a reading may take.").or("\"1s\""),
    key("count", &["3"], "Readings in a row that a level must be broken by.").or("2"),
];
