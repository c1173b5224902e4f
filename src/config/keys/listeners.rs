//! `[[listeners]]` and `[acme]`.

use super::{ConfigKey, KeyPage, KeyTable, key};

pub(super) const PAGE: KeyPage = KeyPage {
    file: "listeners",
    tables: &[
        KeyTable { places: &["listeners[]"], about: "An address that accepts traffic.", keys: LISTENERS },
        KeyTable {
            places: &["listeners[].timeouts"],
            about: "How long clients may take. `body` holds for bodies that an answer waits for: not for gRPC, and not \
                    once the answer has begun.",
            keys: TIMEOUTS,
        },
        KeyTable {
            places: &["listeners[].limits"],
            about: "What clients may send. Those of a route take their place.",
            keys: LIMITS,
        },
        KeyTable {
            places: &["listeners[].tls", "admin.tls"],
            about: "TLS, by the certificate for the name that a client asks for. The admin API has the same keys, but for \
                    `acme` and `http2`.",
            keys: TLS,
        },
        KeyTable { places: &["listeners[].tls"], about: "TLS of listeners alone.", keys: LISTENER_TLS },
        KeyTable {
            places: &["listeners[].tls.certificates[]", "admin.tls.certificates[]"],
            about: "A certificate. Its files are read again when they change.",
            keys: CERTIFICATES,
        },
        KeyTable {
            places: &["acme"],
            about: "A certificate that is ordered and renewed, proved by HTTP-01: its names must reach a listener without \
                    `tls` on port 80. With `tls = \"auto\"` of a listener the table may be left out.",
            keys: ACME,
        },
    ],
};

const LISTENERS: &[ConfigKey] = &[
    key(
        "address",
        &["\":80\"", "\"127.0.0.1:8080\"", "\"[::1]:8080\""],
        "An address and port. `:80` is port 80 of all interfaces, by IPv4 and, where the machine has it, by IPv6: two \
         listeners, `0.0.0.0:80` and `[::]:80`.",
    ),
    key(
        "tls",
        &["{ certificates = [{ cert = \"site.pem\", key = \"site.key\" }] }", "\"auto\""],
        "TLS, with its certificates. `auto`: a certificate by ACME for the `hosts` of the routes that count here, with the \
         defaults of the table; unless a listener without `tls` is configured, port 80 of the same address is listened on, \
         too, answers the authority, and sends clients to `https://` with 301.",
    )
    .otherwise("plain HTTP"),
    key(
        "hsts",
        &["\"max-age=31536000; includeSubDomains\""],
        "`Strict-Transport-Security` on every answer, errors too, in place of an upstream's; with `tls` only.",
    ),
    key("h2c", &["true"], "HTTP/2 without TLS, too, by prior knowledge (gRPC).").or("false"),
    key(
        "underscores",
        &["true"],
        "Fields with an underscore in their name pass, but for those that a server may take for what a proxy says.",
    )
    .or("false"),
    key("timeouts", &["{ header = \"5s\" }"], "How long clients may take."),
    key("limits", &["{ body = \"10M\" }"], "What clients may send."),
    key("proxy_protocol", &["true"], "The PROXY protocol, v1 or v2, comes before all else; from `trusted_proxies` only.")
        .or("false"),
    key(
        "trusted_proxies",
        &["[\"10.0.0.0/8\"]"],
        "Networks whose `X-Forwarded-*` are believed. Of others neither they nor `Forwarded`, `True-Client-IP`, \
         `X-Original-URL` and their like pass.",
    )
    .or("[]"),
    key(
        "client_header",
        &["\"CF-Connecting-IP\""],
        "The field in which trusted proxies say who the client is. Of others it does not pass.",
    )
    .or("\"X-Forwarded-For\""),
    key(
        "client_hops",
        &["1"],
        "How many of the addresses in it are believed, from the last one on: with one proxy in front, `1`.",
    )
    .otherwise("the client is the last address that is none of `trusted_proxies`"),
];

const TIMEOUTS: &[ConfigKey] = &[
    key("header", &["\"5s\""], "The TLS handshake, and the whole head of each request.").or("\"10s\""),
    key("body", &["\"30s\""], "Silence within a body.").or("\"60s\""),
    key("write", &["\"30s\""], "How long a client may take no byte of an answer.").or("\"60s\""),
    key("keepalive", &["\"30s\""], "Idle time between two requests.").or("\"75s\""),
];

const LIMITS: &[ConfigKey] = &[
    key("header_size", &["\"16k\""], "Bytes of a request's head.").or("\"32k\""),
    key("headers", &["50"], "Header fields of a request.").or("100"),
    key("body", &["\"10M\""], "Bytes of a request's body.").or("\"100M\""),
    key("body_rate", &["\"512\""], "The least bytes a second of a body, beyond the header's time; `0`: any.")
        .or("\"1k\""),
    key("requests_per_connection", &["100"], "Requests on one connection.").or("1000"),
    key(
        "streams",
        &["100"],
        "Requests of HTTP/2 at a time on a connection; each may hold 100 KiB of an answer that is not taken.",
    )
    .or("32"),
    key("connections", &["10000"], "Connections at a time; 0: no limit.").or("0"),
    key(
        "connections_per_client",
        &["200"],
        "Connections at a time by address (IPv6 by /64), trusted proxies aside; 0: no limit.",
    )
    .or("0"),
];

const TLS: &[ConfigKey] = &[
    key(
        "certificates",
        &[
            "[{ cert = \"site.pem\", key = \"site.key\" }]",
            "[{ cert = \"site.pem\", key = \"site.key\", ocsp = \"site.der\" }]",
        ],
        "By the name asked for, wildcards too; the first is for names that none has.",
    )
    .otherwise("the certificate of `acme`"),
    key("min_version", &["\"1.3\""], "The least version of TLS.").or("\"1.2\""),
    key(
        "session_tickets",
        &["true"],
        "Hands tickets out. Sessions are resumed from a store of the workers all the same.",
    )
    .or("false"),
    key("reload", &["\"1m\""], "How often the files are looked at for changes; `0s`: at a reload only.")
        .or("\"10s\""),
    key("client_ca", &["\"ca.pem\""], "Only clients with a certificate of this authority (PEM) get in.")
        .otherwise("everybody gets in"),
];

const LISTENER_TLS: &[ConfigKey] = &[
    key("http2", &["false"], "HTTP/2, agreed on by ALPN.").or("true"),
    key("acme", &["true"], "The certificate of `[acme]`, too, after those listed.").or("false"),
];

const CERTIFICATES: &[ConfigKey] = &[
    key("cert", &["\"site.pem\""], "A PEM file with the chain, leaf first."),
    key("key", &["\"site.key\""], "A PEM file with the private key."),
    key(
        "ocsp",
        &["\"site.der\""],
        "A response to staple, which another job fetches (`openssl ocsp -respout`).",
    )
    .otherwise("none is stapled"),
];

const ACME: &[ConfigKey] = &[
    key("names", &["[\"site.example\", \"www.site.example\"]"], "What the certificate is for; no wildcards.")
        .otherwise("with `tls = \"auto\"` the `hosts` of the routes; else they must be there"),
    key("directory", &["\"https://acme.example/directory\""], "The authority's directory.")
        .or("\"https://acme-v02.api.letsencrypt.org/directory\""),
    key("contact", &["[\"mailto:ops@site.example\"]"], "Where the authority writes to.").or("[]"),
    key("ca", &["\"ca.pem\""], "The authority of the directory's own certificate (PEM).")
        .otherwise("those the system knows"),
];
