//! `[services.*.rollout]`.

use super::{ConfigKey, KeyPage, KeyTable, key};

pub(super) const PAGE: KeyPage = KeyPage {
    file: "rollout",
    tables: &[
        KeyTable {
            places: &["services.*.rollout"],
            about: "Defaults of a service's rollouts; a rollout that is started may say otherwise.",
            keys: ROLLOUT,
        },
        KeyTable {
            places: &["services.*.rollout.steps[]"],
            about: "A step. It has either `weight` or `mirror`; those with `mirror` come first, weights rise, and the last one \
                    is 100.",
            keys: STEPS,
        },
        KeyTable {
            places: &["services.*.rollout.smoke[]"],
            about: "A request that the candidate must answer before it gets traffic, and after the promotion.",
            keys: SMOKE,
        },
        KeyTable {
            places: &["services.*.rollout.hooks[]"],
            about: "Somebody who is asked, with POST, before a phase. 2xx agrees, 4xx refuses and aborts, all else is asked \
                    again.",
            keys: &[key(
                "at",
                &["\"before-shifting\""],
                "Before which phase; `before-promoted`: before the promotion.",
            )],
        },
        KeyTable {
            places: &["services.*.rollout.hooks[]", "services.*.rollout.rolling.hook"],
            about: "How a hook is asked; `rolling.hook` has these keys alone.",
            keys: HOOK,
        },
        KeyTable {
            places: &["services.*.rollout.rolling"],
            about: "Rolling updates, within one pool.",
            keys: ROLLING,
        },
        KeyTable { places: &["services.*.rollout.after"], about: "What follows a promotion.", keys: AFTER },
        KeyTable {
            places: &["services.*.rollout.warmup"],
            about: "The first attempts on each upstream are no evidence, with stable as with the candidate: so many, or so long \
                    after the first.",
            keys: WARM_UP,
        },
    ],
};

const ROLLOUT: &[ConfigKey] = &[
    key(
        "strategy",
        &["\"blue-green\""],
        "`canary`: in steps; `blue-green`: all at once; `rolling`: within one pool.",
    )
    .or("\"canary\""),
    key("steps", &["[{ weight = 10, hold = \"10m\" }, { weight = 100 }]"], "The steps.")
        .or("[{ weight = 5, hold = \"5m\" }, { weight = 25, hold = \"10m\" }, { weight = 100 }]"),
    key("gate", &["true"], "Somebody approves (`rollout resume`) before any traffic.").or("false"),
    key("bake", &["\"1h\""], "The time under watch at 100 % before the promotion.").or("\"15m\""),
    key("min_attempts", &["200"], "A step with less attempts of the candidate holds.").or("50"),
    key("idle", &["\"advance\""], "A step with too little traffic: `hold`, or `advance` by time alone.")
        .or("\"hold\""),
    key(
        "prepare",
        &["\"10m\""],
        "How long the candidate may take to become healthy, its smoke tests to end, and a hook to answer.",
    )
    .or("\"5m\""),
    key(
        "deadline",
        &["\"4h\""],
        "By when it has ended, from its start, over restarts and pauses; it is aborted then.",
    )
    .otherwise("none"),
    key("gate_timeout", &["\"24h\""], "How long it waits for an approval; it is aborted then.")
        .otherwise("for ever"),
    key("warmup", &["{ requests = 100, for = \"30s\" }"], "The first attempts, which are no evidence.")
        .otherwise("none"),
    key("smoke", &["[{ path = \"/health\" }]"], "Smoke tests.").or("[]"),
    key("hooks", &["[{ at = \"before-shifting\", url = \"https://ci.example/ask\" }]"], "Who is asked.")
        .or("[]"),
    key("rolling", &["{ max_unavailable = 2 }"], "Rolling updates."),
    key("after", &["{ rollback = true }"], "What follows a promotion."),
];

const STEPS: &[ConfigKey] = &[
    key("weight", &["5"], "Percent of the traffic for the candidate."),
    key(
        "mirror",
        &["10"],
        "Percent of stable's safe requests that are copied to the candidate, its answers thrown away.",
    ),
    key("hold", &["\"10m\""], "How long it lasts at least.").or("\"0s\""),
    key("gate", &["true"], "Somebody approves after the hold.").or("false"),
];

const SMOKE: &[ConfigKey] = &[
    key("path", &["\"/health\""], "What is requested."),
    key("method", &["\"PUT\""], "The method.").otherwise("`GET`; with a body `POST`"),
    key("host", &["\"app.example\""], "The name that is asked for.").otherwise("the upstream's address"),
    key("headers", &["{ X-Key = \"7\" }"], "Header fields of the request."),
    key("body", &["'{\"user\": \"smoke\"}'"], "The body.").or("\"\""),
    key(
        "expect",
        &["204", "\"200-399\"", "[200, \"301-302\"]"],
        "Statuses that pass: one, a range or a list.",
    )
    .or("\"200-299\""),
    key("match", &["\"ok\""], "A regular expression that is found in the first 64 KiB of the body."),
    key("timeout", &["\"2s\""], "How long the answer may take.").or("\"5s\""),
];

const HOOK: &[ConfigKey] = &[
    key("url", &["\"https://ci.example/ask\""], "Where it is asked."),
    key("timeout", &["\"30s\""], "How long the answer may take.").or("\"10s\""),
    key(
        "secret",
        &["\"${HOOK_SECRET}\""],
        "What `X-Pointsman-Signature` is made with (HMAC-SHA-256 of the body).",
    )
    .otherwise("it is not signed"),
];

const ROLLING: &[ConfigKey] = &[
    key("max_unavailable", &["2"], "Upstreams that are out at a time.").or("1"),
    key("drain", &["\"1m\""], "How long requests in flight may take before an update begins.").or("\"30s\""),
    key("update", &["\"5m\""], "How long an update may take.").or("\"10m\""),
    key("watch", &["\"1m\""], "The time under watch after each update.").or("\"30s\""),
    key("hook", &["{ url = \"https://ci.example/update\" }"], "Who updates an upstream.")
        .otherwise("the deploy job says `pointsman ready`"),
];

const AFTER: &[ConfigKey] = &[
    key("watch", &["\"2h\""], "How long the policy keeps watch.").or("\"1h\""),
    key("rollback", &["true"], "A broken limit takes the promotion back by itself.").or("false"),
];

const WARM_UP: &[ConfigKey] = &[
    key("requests", &["100"], "So many attempts end it."),
    key("for", &["\"30s\""], "So long after the first of them it ends."),
];
