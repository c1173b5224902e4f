//! What else a configuration needs for each key.

/// What the value of a key needs around it, and what stands in its way; to be set in the order of the list. `None` takes
/// a key out.
pub(super) type Company = &'static [(&'static str, Option<&'static str>)];

/// Of a key or of all below a table.
pub(super) const COMPANY: &[(&str, Company)] = &[
    (
        "",
        &[
            ("listeners[].address", Some("\"127.0.0.1:8080\"")),
            ("routes[].service", Some("\"web\"")),
            ("services.*.stable", Some("\"blue\"")),
            ("services.*.pools.*.upstreams", Some("[\"10.0.0.1:3000\"]")),
            ("services.*.pools.green.upstreams", Some("[\"10.0.0.2:3000\"]")),
        ],
    ),
    ("listeners[].tls", CERTIFICATE),
    ("listeners[].hsts", CERTIFICATE),
    ("listeners[].tls.acme", ACME),
    ("listeners[].proxy_protocol", &[("listeners[].trusted_proxies", Some("[\"10.0.0.0/8\"]"))]),
    ("listeners[].client_header", &[("listeners[].trusted_proxies", Some("[\"10.0.0.0/8\"]"))]),
    ("listeners[].client_hops", &[("listeners[].trusted_proxies", Some("[\"10.0.0.0/8\"]"))]),
    ("acme", ACME),
    (
        "admin.tls",
        &[
            ("admin.tls.certificates[].cert", Some("\"site.pem\"")),
            ("admin.tls.certificates[].key", Some("\"site.key\"")),
        ],
    ),
    ("admin.tokens[]", TOKEN),
    ("admin.tokens[].env", &[("admin.tokens[].sha256", None)]),
    ("admin.tokens[].file", &[("admin.tokens[].sha256", None)]),
    (
        "otlp",
        &[
            ("otlp.endpoint", Some("\"http://127.0.0.1:4318/v1/traces\"")),
            ("server.trace", Some("\"inject\"")),
        ],
    ),
    (
        "fleet",
        &[
            ("fleet.name", Some("\"edge-1\"")),
            ("fleet.etcd.endpoints", Some("[\"https://10.0.0.1:2379\"]")),
            ("fleet.etcd.ca", Some("\"ca.pem\"")),
            ("fleet.secret.env", Some("\"FLEET_SECRET\"")),
        ],
    ),
    ("fleet.secret.file", &[("fleet.secret.env", None)]),
    ("fleet.etcd.cert", &[("fleet.etcd.key", Some("\"site.key\""))]),
    ("fleet.etcd.key", &[("fleet.etcd.cert", Some("\"site.pem\""))]),
    ("fleet.etcd.user", &[("fleet.etcd.password", Some("\"${ETCD_PASSWORD}\""))]),
    ("fleet.etcd.password", &[("fleet.etcd.user", Some("\"pointsman\""))]),
    ("access_log", &[("access_log.path", Some("\"-\""))]),
    ("rate_limits.*", &[("rate_limits.*.rate", Some("\"60/s\""))]),
    ("routes[].redirect", NOT_TO_A_SERVICE),
    ("routes[].redirect", &[("routes[].redirect.to", Some("\"/there\""))]),
    ("routes[].reply", NOT_TO_A_SERVICE),
    ("routes[].files", NOT_TO_A_SERVICE),
    ("routes[].files", &[("routes[].files.root", Some("\".\""))]),
    ("routes[].files.fallback", TO_A_NAME),
    ("routes[].deny", NOT_TO_A_SERVICE),
    ("routes[].onward", NOT_TO_A_SERVICE),
    ("routes[].onward", &[("routes[].first", Some("true"))]),
    ("maps.*", &[("maps.*.of", Some("\"$host\""))]),
    ("routes[].when.value", &[("routes[].when.value.of", Some("\"$host\""))]),
    ("routes[].when.value[]", &[("routes[].when.value[].of", Some("\"$host\""))]),
    ("routes[].when.file", &[("routes[].when.file.path", Some("\"/on\""))]),
    ("routes[].when.file[]", &[("routes[].when.file[].path", Some("\"/on\""))]),
    ("services.*.rules[].value", &[("services.*.rules[].value.of", Some("\"$host\""))]),
    ("services.*.rules[].value[]", &[("services.*.rules[].value[].of", Some("\"$host\""))]),
    ("services.*.rules[].file", &[("services.*.rules[].file.path", Some("\"/on\""))]),
    ("services.*.rules[].file[]", &[("services.*.rules[].file[].path", Some("\"/on\""))]),
    ("routes[].admin", NOT_TO_A_SERVICE),
    ("routes[].admin", TOKEN),
    ("routes[].admin", &[("routes[].path", Some("\"= /api/maintenance\""))]),
    ("headers.response.set.*", &[("headers.response.set.*.value", Some("\"x\""))]),
    ("headers.response.add.*", &[("headers.response.add.*.value", Some("\"x\""))]),
    ("routes[].headers.response.set.*", &[("routes[].headers.response.set.*.value", Some("\"x\""))]),
    ("routes[].headers.response.add.*", &[("routes[].headers.response.add.*.value", Some("\"x\""))]),
    ("error_pages.*.route", TO_A_NAME),
    ("routes[].error_pages.*.route", TO_A_NAME),
    ("error_pages.*.status", &[("error_pages.*.path", Some("\"/x\""))]),
    ("routes[].error_pages.*.status", &[("routes[].error_pages.*.path", Some("\"/x\""))]),
    ("services.*.upstreams", &[("services.*.pools", None), ("services.*.stable", None)]),
    ("services.*.upstreams[]", &[("services.*.upstreams[].address", Some("\"10.0.0.9:3000\""))]),
    ("listeners[].tls", &[("routes[].hosts", Some("[\"site.example\"]"))]),
    (
        "routes[].within",
        &[
            ("routes[].path", Some("'~ \\.php$'")),
            ("routes[1].path", Some("\"/uploads/\"")),
            ("routes[1].service", Some("\"web\"")),
        ],
    ),
    (
        "routes[].basic_auth",
        &[
            ("routes[].basic_auth.realm", Some("\"site\"")),
            ("routes[].basic_auth.file", Some("\"htpasswd\"")),
        ],
    ),
    ("routes[].authorize", &[("routes[].authorize.service", Some("\"web\""))]),
    (
        "routes[].authorize.forward[]",
        &[
            ("routes[].authorize.forward[].from", Some("\"X-Auth-Request-User\"")),
            ("routes[].authorize.forward[].to", Some("\"X-User\"")),
        ],
    ),
    (
        "routes[].satisfy",
        &[
            ("routes[].allow", Some("[\"10.0.0.0/8\"]")),
            ("routes[].basic_auth.realm", Some("\"site\"")),
            ("routes[].basic_auth.file", Some("\"htpasswd\"")),
        ],
    ),
    ("routes[].strip_prefix", &[("routes[].path", Some("\"/api/\""))]),
    ("routes[].limits.rates", &[("rate_limits.*.rate", Some("\"60/s\""))]),
    (
        "routes[].rewrite[]",
        &[
            ("routes[].rewrite[].match", Some("'^/old/(.*)$'")),
            ("routes[].rewrite[].to", Some("\"/new/$1\"")),
        ],
    ),
    (
        "routes[].relocate[]",
        &[("routes[].relocate[].from", Some("\"http://app/\"")), ("routes[].relocate[].to", Some("\"/\""))],
    ),
    (
        "routes[].cookie_paths[]",
        &[("routes[].cookie_paths[].from", Some("\"/app/\"")), ("routes[].cookie_paths[].to", Some("\"/\""))],
    ),
    ("routes[].cookie_paths[].matches", &[("routes[].cookie_paths[].from", None)]),
    (
        "routes[].cookie_domains[]",
        &[
            ("routes[].cookie_domains[].from", Some("\"app.internal\"")),
            ("routes[].cookie_domains[].to", Some("\"$host\"")),
        ],
    ),
    ("services.*.policy", &[("policies.strict.error_rate.critical", Some("\"0.5%\""))]),
    ("services.*.cohort", &[("services.*.cohort.by", Some("\"cookie\""))]),
    ("services.*.cohort.of", &[("services.*.cohort.by", Some("\"text\""))]),
    (
        "services.*.rules[]",
        &[
            ("services.*.rules[].pool", Some("\"blue\"")),
            ("services.*.rules[].header.name", Some("\"X-Team\"")),
        ],
    ),
    ("routes[].when", &[("routes[].when.header.name", Some("\"X-Team\""))]),
    ("routes[].when.cookie", &[("routes[].when.cookie.name", Some("\"plan\""))]),
    ("routes[].when.query", &[("routes[].when.query.name", Some("\"beta\""))]),
    ("services.*.rules[].cookie", &[("services.*.rules[].cookie.name", Some("\"plan\""))]),
    ("services.*.rules[].query", &[("services.*.rules[].query.name", Some("\"beta\""))]),
    ("services.*.mirror.compare", &[("services.*.mirror.compare.body", Some("\"json\""))]),
    (
        "services.*.rollout.steps[]",
        &[
            ("services.*.rollout.steps[].weight", Some("10")),
            ("services.*.rollout.steps[1].weight", Some("100")),
        ],
    ),
    ("services.*.rollout.steps[].mirror", &[("services.*.rollout.steps[].weight", None)]),
    ("services.*.rollout.smoke[]", &[("services.*.rollout.smoke[].path", Some("\"/health\""))]),
    (
        "services.*.rollout.hooks[]",
        &[
            ("services.*.rollout.hooks[].at", Some("\"before-baking\"")),
            ("services.*.rollout.hooks[].url", Some("\"https://ci.example/\"")),
        ],
    ),
    (
        "services.*.rollout.rolling.hook",
        &[("services.*.rollout.rolling.hook.url", Some("\"https://ci.example/\""))],
    ),
    (
        "services.*.rollout.warmup",
        &[
            ("services.*.rollout.warmup.requests", Some("50")),
            ("services.*.rollout.warmup.for", Some("\"1s\"")),
        ],
    ),
    ("services.*.pools.*.retry", &[("services.*.pools.*.tries", None)]),
    ("services.*.pools.*.hash_by", &[("services.*.pools.*.balance", Some("\"hash\""))]),
    (
        "services.*.pools.*.upstreams[]",
        &[("services.*.pools.*.upstreams[].address", Some("\"10.0.0.9:3000\""))],
    ),
    ("services.*.pools.*.tls", &[("services.*.pools.*.tls.ca", Some("\"ca.pem\""))]),
    ("services.*.pools.*.tls.verify", &[("services.*.pools.*.tls.ca", None)]),
    (
        "services.*.pools.*.tls.client",
        &[
            ("services.*.pools.*.tls.client.cert", Some("\"site.pem\"")),
            ("services.*.pools.*.tls.client.key", Some("\"site.key\"")),
        ],
    ),
    ("services.*.pools.*.health", &[("services.*.pools.*.health.path", Some("\"/up\""))]),
    ("services.*.pools.*.health.type", &[("services.*.pools.*.health.path", None)]),
    (
        "services.*.pools.*.health.service",
        &[("services.*.pools.*.health.path", None), ("services.*.pools.*.health.type", Some("\"grpc\""))],
    ),
    ("policies.*", &[("policies.*.error_rate.critical", Some("\"2%\""))]),
    (
        "policies.*.signals[]",
        &[
            ("policies.*.signals[].name", Some("\"connections\"")),
            ("policies.*.signals[].from", Some("\"/metrics\"")),
            ("policies.*.signals[].at", Some("\"/connections\"")),
            ("policies.*.signals[].critical", Some("20")),
        ],
    ),
    (
        "sets",
        &[
            ("services.signaling.pools.blue.upstreams", Some("[\"10.0.0.3:3000\"]")),
            ("sets[].name", Some("\"both\"")),
            ("sets[].services", Some("[\"signaling\", \"web\"]")),
        ],
    ),
    (
        "notify[]",
        &[("notify[].kind", Some("\"slack\"")), ("notify[].url", Some("\"https://hooks.example/1\""))],
    ),
    ("notify[].secret", &[("notify[].kind", Some("\"webhook\""))]),
    ("notify[].repo", GITHUB),
    ("notify[].token", GITHUB),
    ("notify[].environment", GITHUB),
    ("notify[].deployment", GITHUB),
    ("notify[].issue", GITHUB),
    ("notify[].api", GITHUB),
];

const CERTIFICATE: Company = &[
    ("listeners[].tls.certificates[].cert", Some("\"site.pem\"")),
    ("listeners[].tls.certificates[].key", Some("\"site.key\"")),
];
const ACME: Company = &[
    ("acme.names", Some("[\"site.example\"]")),
    ("listeners[1].address", Some("\"127.0.0.1:8081\"")),
    ("listeners[2].address", Some("\"127.0.0.1:8082\"")),
    ("listeners[2].tls.acme", Some("true")),
];
const TOKEN: Company = &[
    ("admin.tokens[].name", Some("\"ops\"")),
    ("admin.tokens[].role", Some("\"admin\"")),
    ("admin.tokens[].sha256", Some("\"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"")),
];
const TO_A_NAME: Company = &[("routes[1].path", Some("\"@app\"")), ("routes[1].service", Some("\"web\""))];
const NOT_TO_A_SERVICE: Company = &[("routes[].service", None)];
const GITHUB: Company = &[
    ("notify[].kind", Some("\"github\"")),
    ("notify[].url", None),
    ("notify[].repo", Some("\"a/b\"")),
    ("notify[].token", Some("\"t\"")),
];
