//! `[services.*]` but for their pools and rollouts, and `[[sets]]`.

use super::{ConfigKey, KeyPage, KeyTable, key};

pub(super) const PAGE: KeyPage = KeyPage {
    file: "services",
    tables: &[
        KeyTable {
            places: &["services"],
            about: "Services by name. A name has 1 to 63 characters out of `a-z`, `0-9`, `-` and `_`.",
            keys: &[key("*", &["{ upstreams = [\"10.0.0.1:3000\"] }"], "A service, which routes name.")],
        },
        KeyTable {
            places: &["services.*"],
            about: "One thing that is deployed, in versions.",
            keys: SERVICE,
        },
        KeyTable {
            places: &["services.*.cohort"],
            about: "By what a user keeps a version while weights divide the traffic.",
            keys: COHORT,
        },
        KeyTable {
            places: &["services.*.testers"],
            about: "Who may choose a pool, by `X-Pointsman-Pool: green` or `?pointsman-pool=green`. Without this table nobody.",
            keys: TESTERS,
        },
        KeyTable {
            places: &["services.*.rules[]"],
            about: "Requests that go to a pool for what they say: after testers, ahead of the weights; the first rule that \
                    holds. A rule has at least one condition, and all of them must hold.",
            keys: RULES,
        },
        KeyTable {
            places: &["services.*.rules[].header", "services.*.rules[].cookie", "services.*.rules[].query"],
            about: "A condition of a rule. With neither `equals` nor `matches` it is enough that the thing is there.",
            keys: CONDITION,
        },
        KeyTable {
            places: &["services.*.shield"],
            about: "While a rollout runs, stable answers what the candidate failed, within a budget.",
            keys: SHIELD,
        },
        KeyTable {
            places: &["services.*.mirror"],
            about: "How requests are copied to a candidate, for steps that mirror.",
            keys: MIRROR,
        },
        KeyTable {
            places: &["services.*.mirror.compare"],
            about: "The candidate's answers are compared with stable's; `differences` of a policy limits them.",
            keys: COMPARE,
        },
        KeyTable {
            places: &["sets[]"],
            about: "Services that are deployed as one: `pointsman rollout start site --to green`.",
            keys: SETS,
        },
    ],
};

const SERVICE: &[ConfigKey] = &[
    key("stable", &["\"blue\""], "The pool that is stable until the state knows better; needed with several pools.")
        .otherwise("the only pool"),
    key(
        "pools",
        &["{ blue = { upstreams = [\"10.0.0.1:3000\"] } }"],
        "Its versions, by name; at least one. See [pools](pools.md).",
    ),
    key(
        "upstreams",
        &["[\"10.0.0.1:3000\", \"10.0.0.2:3000\"]"],
        "In place of `pools`, for a service with a single one: the pool is called `blue`, and all else in it has its default.",
    ),
    key("policy", &["\"strict\""], "The policy that its rollouts are judged by.").or("\"default\""),
    key("rollout", &["{ bake = \"1h\" }"], "Defaults of its rollouts. See [rollouts](rollout.md)."),
    key(
        "shield",
        &["false", "{ budget = \"10%\" }"],
        "Whether stable answers what a candidate failed; a table says how far.",
    )
    .or("true"),
    key("mirror", &["{ in_flight = 16 }"], "How requests are copied to a candidate."),
    key("cohort", &["{ by = \"cookie\" }"], "By what a user keeps a version.").or("{ by = \"request\" }"),
    key("testers", &["{ networks = [\"10.0.0.0/8\"] }"], "Who may choose a pool.").otherwise("nobody"),
    key(
        "rules",
        &["[{ pool = \"blue\", header = { name = \"X-Team\", equals = \"payments\" } }]"],
        "Requests that go to a pool for what they say.",
    )
    .or("[]"),
    key("expose_pool", &["\"x-pool\""], "The header field that shows clients which pool answered.")
        .otherwise("`server.expose_pool`"),
    key(
        "refuge",
        &["\"none\""],
        "Who serves while no pool with weight can. `healthy`: a pool that nothing is held against; `none`: nobody, 503; \
         `any`: even one that was aborted.",
    )
    .or("\"healthy\""),
    key(
        "watch_manual",
        &["false"],
        "The policy watches weights that were set by hand to a pool that is not stable, and takes them back when a limit is \
         broken.",
    )
    .or("true"),
    key(
        "close_streams",
        &["\"5m\""],
        "WebSockets, event streams and gRPC streams leave a pool without weight, or a drained upstream, spread over this time.",
    )
    .otherwise("they stay"),
];

const COHORT: &[ConfigKey] = &[
    key(
        "by",
        &["\"cookie\"", "\"client_ip\"", "\"request\""],
        "`request`: each request by itself; or by a cookie, the client's address, a header field, or a text (without it: the \
         address).",
    ),
    key("of", &["\"$cookie_session\""], "With `by = \"text\"`: a text with variables that names the user."),
    key("name", &["\"pm\""], "The cookie's name, or the header field's, which must be there.")
        .or("\"pointsman\""),
    key("ttl", &["\"1d\""], "How long the cookie lasts.").or("\"1h\""),
];

const TESTERS: &[ConfigKey] = &[
    key(
        "networks",
        &["[\"10.0.0.0/8\"]"],
        "From where; from elsewhere only with what `pointsman cohort link` has signed.",
    )
    .or("[]"),
    key("header", &["\"X-Version\""], "The header field.").or("\"X-Pointsman-Pool\""),
    key("cookie", &["\"version\""], "The cookie.").or("\"pointsman-pool\""),
    key("query", &["\"version\""], "The parameter of the query.").or("\"pointsman-pool\""),
];

const RULES: &[ConfigKey] = &[
    key("pool", &["\"green\"", "\"candidate\""], "A pool, or the role of one: `stable`, `candidate`."),
    key("header", &["{ name = \"X-Team\", equals = \"payments\" }"], "A header field."),
    key("cookie", &["{ name = \"plan\", matches = \"^gold\" }"], "A cookie."),
    key("query", &["{ name = \"beta\" }"], "A parameter of the query."),
    key("methods", &["[\"GET\", \"HEAD\"]"], "Methods.").or("[]"),
    key("networks", &["[\"203.0.113.0/24\"]"], "Networks that the client is in.").or("[]"),
    key("value", &["[{ of = \"$http_origin\", matches = '^https://' }]"], "Texts with variables; one table, or a list of them."),
    key("file", &["[{ path = \"/srv/beta.on\" }]"], "Files; one table, or a list of them."),
    key(
        "strict",
        &["true"],
        "`true`: 503 where the pool is not ready, in place of the weights, and to it even when its version was aborted.",
    )
    .or("false"),
];

pub(super) const CONDITION: &[ConfigKey] = &[
    key("name", &["\"X-Team\""], "Its name."),
    key("equals", &["\"payments\""], "Its whole value."),
    key("matches", &["\"^gold\""], "A regular expression that is found in its value."),
    key("not", &["true"], "`true`: the contrary must hold.").or("false"),
];

const SHIELD: &[ConfigKey] = &[
    key("budget", &["\"10%\""], "The share of what the service serves that may be answered so.")
        .or("\"20%\""),
    key("burst", &["50"], "How many more at once, for each worker.").or("100"),
    key("statuses", &["[502, \"503-504\"]"], "The answers that count as failed, 500 to 599.")
        .or("[\"500-599\"]"),
];

const MIRROR: &[ConfigKey] = &[
    key("in_flight", &["16"], "Copies under way at a time; beyond them none are made.").or("64"),
    key("compare", &["{ body = \"json\", ignore = [\"/at\"] }"], "What of the answers is compared.")
        .otherwise("nothing"),
];

const COMPARE: &[ConfigKey] = &[
    key("status", &["false"], "The status.").or("true"),
    key("headers", &["[\"content-type\"]"], "Header fields, by name.").or("[]"),
    key("body", &["\"json\""], "The body, as JSON or by its bytes.").or("\"off\""),
    key(
        "ignore",
        &["[\"/timestamp\", \"/items/*/id\"]"],
        "Places in JSON that may differ; with `body = \"json\"`.",
    )
    .or("[]"),
    key("limit", &["\"16k\""], "The largest body that is compared; with `body`.").or("\"64k\""),
];

const SETS: &[ConfigKey] = &[
    key("name", &["\"site\""], "How commands call it; no service has the name."),
    key(
        "services",
        &["[\"web\", \"signaling\"]"],
        "In the order in which they go from step to step; the steps and gates are the first one's.",
    ),
];
