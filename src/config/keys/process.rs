//! The process: `[server]`, `[limits]`, `[admin]`, `[access_log]`.

use super::{ConfigKey, KeyPage, KeyTable, key};

pub(super) const PAGE: KeyPage = KeyPage {
    file: "process",
    tables: &[
        KeyTable { places: &[""], about: "The tables of the file.", keys: TOP },
        KeyTable { places: &["server"], about: "The process.", keys: SERVER },
        KeyTable {
            places: &["server.retention"],
            about: "What the state keeps of each service; older rows are removed.",
            keys: RETENTION,
        },
        KeyTable {
            places: &["limits"],
            about: "What the process may hold, over all listeners.",
            keys: LIMITS,
        },
        KeyTable { places: &["admin"], about: "The admin API, with its dashboard and metrics.", keys: ADMIN },
        KeyTable {
            places: &["admin.tokens[]"],
            about: "Who may use the admin API. A token has one of `sha256`, `env` and `file`; \
                    `pointsman token new` makes one and prints its line.",
            keys: TOKENS,
        },
        KeyTable {
            places: &["access_log"],
            about: "A line for each request. Without this table there is no access log.",
            keys: ACCESS_LOG,
        },
        KeyTable {
            places: &["otlp"],
            about: "Spans of sampled requests, one below for each attempt, to a collector, by OTLP over HTTP. It needs `trace` in \
                    `[server]`.",
            keys: OTLP,
        },
        KeyTable {
            places: &["docker"],
            about: "Containers as upstreams. The label `pointsman.service` of a container says its service, `pointsman.pool` its pool, \
                    `pointsman.port` its port, `pointsman.network` the network that it is reached on; the last three can be left out \
                    where there is only one. See [Docker](../docker.md).",
            keys: DOCKER,
        },
    ],
};

const TOP: &[ConfigKey] = &[
    key("server", &["{ threads = 4 }"], "The process."),
    key("limits", &["{ connections = 20000 }"], "What the process may hold."),
    key("admin", &["{ listen = \"127.0.0.1:9901\" }"], "The admin API."),
    key("access_log", &["{ path = \"-\" }"], "A line for each request.").otherwise("no access log"),
    key(
        "otlp",
        &["{ endpoint = \"http://127.0.0.1:4318/v1/traces\" }"],
        "Spans of sampled requests, to a collector.",
    )
    .otherwise("none are sent"),
    key("docker", &["{ socket = \"tcp://proxy:2375\" }"], "Containers as upstreams, by their labels.")
        .otherwise("no container is one"),
    key(
        "fleet",
        &["{ name = \"edge-1\", etcd = { endpoints = [\"https://10.0.0.1:2379\"], ca = \"ca.pem\" }, \
             secret = { env = \"FLEET_SECRET\" } }"],
        "Several instances that act as one, over etcd. See [the fleet](../fleet.md).",
    )
    .otherwise("this instance is alone"),
    key(
        "listeners",
        &["[{ address = \":8080\" }]"],
        "Addresses that accept traffic: one `[[listeners]]` each, at least one.",
    ),
    key("acme", &["{ names = [\"site.example\"] }"], "A certificate that is ordered and renewed.")
        .otherwise("none is ordered"),
    key("compression", &["{ min_size = \"1k\" }"], "Compression of answers.").otherwise("none"),
    key("values", &["{ site = \"$scheme://$host\" }"], "Texts by name. See [values](site.md#values)."),
    key("maps", &["{ app = { of = \"$host\" } }"], "Look-ups by name. See [maps](site.md#maps)."),
    key("rate_limits", &["{ api = { rate = \"60/s\" } }"], "Limits by client, which routes name."),
    key("maintenance", &["{ pass = [\"/health\"] }"], "What is answered under maintenance."),
    key(
        "headers",
        &["{ response = { set = { X-Frame-Options = \"DENY\" } } }"],
        "Header fields of all routes that have none of their own in that direction.",
    ),
    key("error_pages", &["{ 502 = \"50x.html\" }"], "Pages for errors that the proxy makes itself."),
    key(
        "routes",
        &["[{ service = \"web\" }]"],
        "Where requests go: one `[[routes]]` each, at least one. The best match decides, in nginx's order of precedence.",
    ),
    key(
        "services",
        &["{ web = { upstreams = [\"10.0.0.1:3000\"] } }"],
        "What is deployed: one `[services.NAME]` each.",
    ),
    key(
        "sets",
        &["[{ name = \"site\", services = [\"web\", \"signaling\"] }]"],
        "Services that are deployed as one: one `[[sets]]` each.",
    ),
    key(
        "policies",
        &["{ strict = { error_rate = { critical = \"0.5%\" } } }"],
        "The limits that a candidate must keep.",
    ),
    key(
        "notify",
        &["[{ kind = \"slack\", url = \"https://hooks.example/T1\" }]"],
        "Receivers of news: one `[[notify]]` each.",
    ),
];

const SERVER: &[ConfigKey] = &[
    key("threads", &["4"], "Workers; 0: one for each core.").or("0"),
    key("state_dir", &["\"./state\""], "The folder of live weights, rollouts and history.")
        .or("\"/var/lib/pointsman\""),
    key("grace", &["\"1m\""], "How long a shutdown waits for requests in flight.").or("\"25s\""),
    key(
        "drain_delay",
        &["\"5s\""],
        "How long a shutdown accepts on after `/readyz` has turned 503, for load balancers in front.",
    )
    .or("\"0s\""),
    key("retention", &["{ history = 5000 }"], "What the state keeps of each service."),
    key("log", &["\"json\""], "The process's own log, on standard error; `json`: an object a line.").or("\"text\""),
    key(
        "trace",
        &["\"propagate\""],
        "`traceparent`: `off`: it passes as it came; `propagate`: a trusted proxy's trace goes on, all others begin here; \
         `inject`: all begin here. With the last two the log has `trace_id`.",
    )
    .or("\"off\""),
    key(
        "expose_pool",
        &["\"x-pool\""],
        "The header field that shows clients which pool answered; `expose_pool` of a service takes its place.",
    )
    .otherwise("no field shows it"),
];

const RETENTION: &[ConfigKey] = &[
    key("history", &["5000"], "Rows of history, at most; 0: no limit.").or("10000"),
    key("rollouts", &["200"], "Ended rollouts, at most; 0: no limit.").or("1000"),
    key("age", &["\"90d\""], "How long either is kept; `0s`: for ever.").or("\"365d\""),
];

const LIMITS: &[ConfigKey] = &[
    key(
        "connections",
        &["20000"],
        "Clients at a time. Beyond them, and beyond the memory for connections, the longest idle are closed, then new \
         ones wait to be accepted.",
    )
    .otherwise(
        "two thirds of the file descriptors that may be open, less those kept back for upstreams, checks, the admin \
         API, state and logs",
    ),
    key(
        "memory",
        &["\"192M\""],
        "What bodies and unread answers may hold together; beyond it they move in small pieces.",
    )
    .otherwise("a quarter of the memory of the control group, or of two thirds of the machine's"),
];

const ADMIN: &[ConfigKey] = &[
    key("listen", &["\"127.0.0.1:9901\""], "Its address; off loopback only with a token or `tls.client_ca`.")
        .or("\"127.0.0.1:9900\""),
    key(
        "tokens",
        &["[{ name = \"ci\", role = \"deploy\", env = \"CI_TOKEN\" }]"],
        "Who may use it. Without any, everybody who reaches it may do everything.",
    )
    .or("[]"),
    key(
        "tls",
        &["{ certificates = [{ cert = \"site.pem\", key = \"site.key\" }] }"],
        "HTTPS; the keys are those of [a listener's `tls`](listeners.md#listenerstls), but for `acme` and `http2`.",
    )
    .otherwise("plain HTTP"),
];

const TOKENS: &[ConfigKey] = &[
    key("name", &["\"ci\""], "The history names who did what by it."),
    key("role", &["\"deploy\""], "`read`: look; `deploy`: weights and rollouts; `admin`: everything."),
    key(
        "sha256",
        &["\"03ac674216f3e15c761ee1a5e255f067953623c8b388b4459e13f978d7c846f4\""],
        "The hash of the token: 64 hexadecimal digits.",
    ),
    key("env", &["\"CI_TOKEN\""], "The variable of the environment that holds the token."),
    key("file", &["\"/run/secrets/ci\""], "The file that holds the token."),
];

const ACCESS_LOG: &[ConfigKey] = &[
    key("path", &["\"-\"", "\"access.log\""], "A file, or `-` for standard output."),
    key(
        "format",
        &["\"combined\""],
        "`combined`: nginx's, with times and attempts appended. `pointsman replay` reads both.",
    )
    .or("\"json\""),
];

const OTLP: &[ConfigKey] = &[
    key("endpoint", &["\"http://127.0.0.1:4318/v1/traces\""], "Where the collector takes traces."),
    key(
        "sample",
        &["\"5%\""],
        "The share of the traces that begin here; of those that go on, the ones that are sampled.",
    )
    .or("\"100%\""),
    key("service", &["\"front\""], "What the spans say as `service.name`.").or("\"pointsman\""),
    key(
        "timeout",
        &["\"2s\""],
        "How long a request to it may take; what it may take later is sent four times at most.",
    )
    .or("\"10s\""),
    key("ca", &["\"ca.pem\""], "The authority of its certificate (PEM).").otherwise("those the system knows"),
    key("headers", &["{ Authorization = \"Bearer ${OTLP_TOKEN}\" }"], "Header fields of what is sent."),
];

const DOCKER: &[ConfigKey] = &[
    key(
        "socket",
        &["\"tcp://proxy:2375\""],
        "Where Docker is asked: its socket, or a proxy before it that allows containers and events.",
    )
    .or("\"/run/docker.sock\""),
    key(
        "network",
        &["\"front\""],
        "The network that containers are reached on, where they are on several and have no label `pointsman.network`.",
    )
    .otherwise("none is preferred"),
];
