//! `[services.*.pools.*]`.

use super::{ConfigKey, KeyPage, KeyTable, key};

pub(super) const PAGE: KeyPage = KeyPage {
    file: "pools",
    tables: &[
        KeyTable {
            places: &["services.*.pools"],
            about: "Pools by name; `blue`, `green` or `v2` mean nothing by themselves.",
            keys: &[key("*", &["{ upstreams = [\"10.0.0.1:3000\"] }"], "A pool.")],
        },
        KeyTable {
            places: &["services.*.pools.*"],
            about: "The upstreams of one version, and how they are spoken to.",
            keys: POOL,
        },
        KeyTable {
            places: &["services.*.pools.*.upstreams[]", "services.*.upstreams[]"],
            about: "An upstream, where more is to be said than its address.",
            keys: UPSTREAM,
        },
        KeyTable {
            places: &["services.*.pools.*.timeouts"],
            about: "How long an upstream may take. Those of a route take their place.",
            keys: TIMEOUTS,
        },
        KeyTable {
            places: &["services.*.pools.*.passive"],
            about: "An upstream that fails requests is taken out for a while; never the last one.",
            keys: PASSIVE,
        },
        KeyTable {
            places: &["services.*.pools.*.buffer"],
            about: "What is held in memory, so that a slow client keeps no upstream. Beyond it, and for events and gRPC, all is \
                    streamed.",
            keys: BUFFER,
        },
        KeyTable {
            places: &["services.*.pools.*.forwarded", "routes[].forwarded"],
            about: "What the upstream learns of clients, field by field: `trusted`: what trusted proxies say, else what is known \
                    here; `replace`: what is known here; `keep`: what came; `off`: nothing.",
            keys: FORWARDED,
        },
        KeyTable {
            places: &["services.*.pools.*.retry"],
            about: "When another upstream of the pool is tried. The shield goes first, while a rollout runs.",
            keys: RETRY,
        },
        KeyTable {
            places: &["services.*.pools.*.tls"],
            about: "How upstreams are spoken to by TLS, where it differs from `tls = true`.",
            keys: TLS,
        },
        KeyTable {
            places: &["services.*.pools.*.tls.client"],
            about: "The certificate that is shown to upstreams that ask for one.",
            keys: CLIENT,
        },
        KeyTable {
            places: &["services.*.pools.*.health"],
            about: "What each upstream is asked, and when it is down. Without this table: whether it accepts a connection, \
                    every two seconds; of more than 100 such upstreams less often.",
            keys: HEALTH,
        },
    ],
};

const POOL: &[ConfigKey] = &[
    key(
        "upstreams",
        &["[\"10.0.0.1:3000\", { address = \"10.0.0.2:3000\", weight = 2 }]", "[\"app.internal:3000\"]"],
        "Its upstreams: an address, a name or a socket (`unix:/run/app.sock`), or a table that says more.",
    )
    .otherwise("must be there, but with `[docker]`"),
    key("balance", &["\"least_conn\""], "How an upstream is chosen.").or("\"round_robin\""),
    key(
        "hash_by",
        &["\"header:X-User\"", "\"uri\"", "\"$cookie_session\""],
        "With `balance = \"hash\"`: `client_ip`, `uri`, `header:NAME` or a text with variables.",
    )
    .or("\"client_ip\""),
    key("timeouts", &["{ read = \"5m\" }"], "How long an upstream may take."),
    key("passive", &["{ max_fails = 5 }"], "When an upstream that fails requests is taken out."),
    key("health", &["{ path = \"/health\" }", "false"], "What each upstream is asked; `false`: no check.")
        .otherwise("whether a connection is accepted"),
    key("keepalive", &["\"30s\""], "How long an idle connection is kept; below the upstream's own time (Node: 5 s).")
        .or("\"4s\""),
    key("keepalive_connections", &["64"], "Idle connections kept to each upstream, over all workers; 0: no limit.").or("0"),
    key("requests_per_connection", &["1000"], "Requests on one connection; 0: no limit.").or("0"),
    key("http2", &["true"], "HTTP/2 to the upstreams, as gRPC needs it.").or("false"),
    key(
        "tls",
        &["true", "{ ca = \"ca.pem\", name = \"app.internal\" }"],
        "TLS to the upstreams; a table says what differs.",
    )
    .or("false"),
    key(
        "accel",
        &["true"],
        "`true`: an answer with `X-Accel-Redirect: /place` or `@name` is not shown; the route for that answers.",
    )
    .or("false"),
    key(
        "forwarded",
        &["\"append\"", "{ for = \"append\", host = \"off\" }"],
        "`X-Forwarded-For`: `trusted` continues that of trusted proxies, `append` everybody's, `replace` says the client \
         alone. `off`: no field of the kind; `keep`: all as they came. A table says it field by field.",
    )
    .or("\"trusted\""),
    key(
        "host",
        &["\"upstream\"", "\"app.example\""],
        "The `Host` that upstreams are asked for: `client`: what the client asked for; `upstream`: the upstream's name as it \
         stands here; or a name. `headers` of a route go before it.",
    )
    .or("\"client\""),
    key("buffer", &["{ request = \"1M\" }"], "What is held in memory."),
    key("slow_start", &["\"30s\""], "The time in which a new or recovered upstream gets to its whole share.").otherwise("at once"),
    key("tries", &["3"], "Attempts that a request may make, where it is safe: `retry = { tries = 3 }`.").or("2"),
    key("retry", &["{ on = [\"error\", \"timeout\", 503], tries = 3 }"], "When another upstream of the pool is tried."),
];

const UPSTREAM: &[ConfigKey] = &[
    key("address", &["\"10.0.0.1:3000\""], "Its address, name or socket."),
    key("weight", &["2"], "Its share among the others.").or("1"),
    key("backup", &["true"], "Is asked only while no other upstream of the pool can be.").or("false"),
    key("max_conns", &["512"], "Requests at a time; beyond, another one, or stable, or 503. 0: no limit.")
        .or("0"),
];

const TIMEOUTS: &[ConfigKey] = &[
    key("connect", &["\"5s\""], "Until a connection is accepted, TLS included.").or("\"1s\""),
    key(
        "read",
        &["\"5m\""],
        "To the head of an answer from the end of the request, and between two pieces of it.",
    )
    .or("\"60s\""),
    key("write", &["\"1m\""], "How long an upstream may take no byte of a request.").or("\"30s\""),
];

const PASSIVE: &[ConfigKey] = &[
    key("max_fails", &["5"], "Failures within `fail_timeout`; 0: never.").or("3"),
    key("fail_timeout", &["\"10s\""], "How long it is out.").or("\"30s\""),
];

const BUFFER: &[ConfigKey] = &[
    key("request", &["\"1M\""], "A body up to this size is taken in whole before an upstream is chosen.")
        .or("\"0\""),
    key(
        "response",
        &["\"1M\""],
        "So much of an answer is taken at once, and given out at the client's pace.",
    )
    .or("\"0\""),
];

const FORWARDED: &[ConfigKey] = &[
    key("for", &["\"append\""], "`X-Forwarded-For`; `append`: everybody's is continued.").or("\"trusted\""),
    key("proto", &["\"replace\""], "`X-Forwarded-Proto`.").or("\"trusted\""),
    key("host", &["\"off\""], "`X-Forwarded-Host`.").or("\"trusted\""),
    key("port", &["\"keep\""], "`X-Forwarded-Port`.").or("\"trusted\""),
    key("real_ip", &["\"off\""], "`X-Real-IP`, which is never a proxy's word: `trusted` is `replace`.")
        .or("\"trusted\""),
];

const RETRY: &[ConfigKey] = &[
    key(
        "on",
        &["[\"error\", \"timeout\", 503]", "[\"502-504\", 429]"],
        "After what: `error`: no connection, a break, no HTTP; `timeout`: too late; statuses from 400 on, whose answer gives way.",
    )
    .or("[\"error\", \"timeout\"]"),
    key("tries", &["3"], "Attempts in all, the first included.").or("2"),
    key("timeout", &["\"10s\""], "Attempts begin within this time from the first one on.").otherwise("any time"),
    key(
        "unsafe",
        &["true"],
        "`true`: POST and PATCH are repeated, too, as long as their body is at hand. They may be carried out twice.",
    )
    .or("false"),
];

const TLS: &[ConfigKey] = &[
    key("ca", &["\"ca.pem\""], "The authorities that certificates must come from (PEM).")
        .otherwise("those the system knows"),
    key("name", &["\"app.internal\""], "The name that is sent (SNI) and looked for.")
        .otherwise("the host of the address"),
    key("client", &["{ cert = \"site.pem\", key = \"site.key\" }"], "The certificate that is shown.")
        .otherwise("none"),
    key("verify", &["false"], "`false`: any certificate will do, and anybody in between can read along.")
        .or("true"),
];

const CLIENT: &[ConfigKey] = &[
    key("cert", &["\"site.pem\""], "A PEM file with the chain, leaf first."),
    key("key", &["\"site.key\""], "A PEM file with the private key."),
];

const HEALTH: &[ConfigKey] = &[
    key(
        "type",
        &["\"grpc\"", "\"connect\""],
        "`http`: a request; `grpc`: `grpc.health.v1.Health/Check`; `connect`: a connection alone.",
    )
    .or("\"http\""),
    key("path", &["\"/health\""], "What is requested; needed with `http`."),
    key("method", &["\"HEAD\""], "The method; with `http`.").or("\"GET\""),
    key("host", &["\"app.example\""], "The name that is asked for.").otherwise("the upstream's address"),
    key("headers", &["{ X-Key = \"7\" }"], "Header fields of the request."),
    key(
        "expect",
        &["200", "\"200-399\"", "[200, \"301-302\"]"],
        "Statuses that are healthy: one, a range or a list; with `http`.",
    )
    .or("\"200-299\""),
    key(
        "match",
        &["\"^ok\""],
        "A regular expression that is found in the first 64 KiB of the body; with `http`.",
    ),
    key("service", &["\"shop.Cart\""], "The service whose status is asked; with `grpc`.").or("\"\""),
    key("port", &["9000"], "Another port of the same host.").otherwise("the upstream's"),
    key("http2", &["true"], "HTTP/2; with `http`.").otherwise("as the pool's"),
    key("tls", &["false"], "`false`: in the clear, where the pool has `tls`.").otherwise("as the pool's"),
    key("interval", &["\"5s\""], "The time between two checks.").or("\"2s\""),
    key("timeout", &["\"2s\""], "How long a check may take.").or("\"1s\""),
    key("rise", &["1"], "Checks in a row that must pass before it is up.").or("2"),
    key("fall", &["2"], "Checks in a row that must fail before it is down.").or("3"),
];
