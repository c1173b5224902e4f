//! What holds for the whole site: compression, rate limits, maintenance, header fields, error pages.

use super::{ConfigKey, KeyPage, KeyTable, key};

pub(super) const PAGE: KeyPage = KeyPage {
    file: "site",
    tables: &[
        KeyTable {
            places: &["compression"],
            about: "Compression of answers, by what the client accepts; never of events, gRPC, parts, and what is encoded \
                    already. Without this table there is none.",
            keys: COMPRESSION,
        },
        KeyTable {
            places: &["rate_limits"],
            about: "Limits by name.",
            keys: &[key("*", &["{ rate = \"60/s\" }"], "A limit; `limits.rates` of a route names it.")],
        },
        KeyTable {
            places: &["rate_limits.*"],
            about: "A limit of requests in time, as nginx's `limit_req` with `nodelay`.",
            keys: RATE_LIMITS,
        },
        KeyTable {
            places: &["values"],
            about: "Texts with names, which other texts refer to as `$NAME`.",
            keys: &[key("*", &["\"$scheme://$host\""], "A text with [variables](../values.md).")],
        },
        KeyTable {
            places: &["maps"],
            about: "Look-ups by name, which texts refer to as `$NAME`.",
            keys: &[key("*", &["{ of = \"$host\", values = { \"a.example\" = \"a\" } }"], "A look-up.")],
        },
        KeyTable { places: &["maps.*"], about: "A look-up, as nginx's `map` and `geo`.", keys: MAPS },
        KeyTable {
            places: &["maps.*.values"],
            about: "The whole text comes first, without regard to case; then the longest `*.name`, the longest `name.*`, \
                    the narrowest network where `of` has `$remote_addr`, and the patterns in the order of the file: `~x` and, \
                    without regard to case, `~*x`. A backslash in front takes the rest as it is.",
            keys: &[key(
                "*",
                &["\"blue\"", "\"$host-new\""],
                "What is found: a text with variables, and with the groups of its pattern.",
            )],
        },
        KeyTable {
            places: &["maintenance"],
            about: "What is answered under maintenance (`pointsman maintenance on`), and who is served all the same.",
            keys: MAINTENANCE,
        },
        KeyTable {
            places: &["headers", "routes[].headers"],
            about: "Header fields that are set, added and removed. What a route has in a direction takes the place of the \
                    site's in that direction.",
            keys: HEADERS,
        },
        KeyTable {
            places: &["headers.response", "routes[].headers.response"],
            about: "Values are texts with [variables](../values.md), those of answers among them. One that comes out \
                    empty sets nothing. Fields that frame a message cannot be changed.",
            keys: RESPONSE_EDITS,
        },
        KeyTable {
            places: &[
                "headers.response.set.*",
                "headers.response.add.*",
                "routes[].headers.response.set.*",
                "routes[].headers.response.add.*",
            ],
            about: "A field with more than its value.",
            keys: FIELD,
        },
        KeyTable {
            places: &["headers.request", "routes[].headers.request"],
            about: "Values are texts with [variables](../values.md). One that comes out empty sets nothing. Fields that frame a message cannot be changed.",
            keys: REQUEST_EDITS,
        },
        KeyTable {
            places: &["error_pages", "routes[].error_pages"],
            about: "What is shown for errors that the proxy makes itself, and with `intercept` for those of upstreams. Who asks \
                    for JSON gets JSON in place of a file. Those of a route take the place of all of the site's.",
            keys: &[key(
                "*",
                &["\"50x.html\"", "{ path = \"/errors/404.html\" }"],
                "A file, or where else the page comes from; by status (`502`), range (`\"500-504\"`), or several of them \
                 (`\"403, 404\"`).",
            )],
        },
        KeyTable {
            places: &["error_pages.*", "routes[].error_pages.*"],
            about: "Where the page of an error comes from: one of `file`, `path`, `route` and `redirect`. An error in place of an \
                    error is the built-in one.",
            keys: ERROR_PAGE,
        },
    ],
};

const COMPRESSION: &[ConfigKey] = &[
    key("algorithms", &["[\"gzip\"]"], "In the order of preference, where the client has none.")
        .or("[\"br\", \"gzip\"]"),
    key(
        "types",
        &["[\"text/css\", \"application/json\"]", "[\"*\"]"],
        "Media types beside `text/html`, which always is one; `*`: all.",
    )
    .otherwise("text, and what is made of it"),
    key(
        "min_size",
        &["\"1k\""],
        "By `Content-Length`; bodies without are compressed, and flushed as they come.",
    )
    .or("\"256\""),
    key("gzip_level", &["9"], "How hard gzip tries.").or("6"),
    key("br_level", &["9"], "How hard brotli tries.").or("5"),
];

const MAPS: &[ConfigKey] = &[
    key("of", &["\"$host\"", "\"$remote_addr\"", "\"$http_user_agent\""], "The text that is looked up."),
    key("values", &["{ \"a.example\" = \"a\", '~^b[0-9]' = \"b\" }"], "What is found, by text.")
        .otherwise("nothing"),
    key("default", &["\"blue\""], "Where nothing is found.").or("\"\""),
];

const ERROR_PAGE: &[ConfigKey] = &[
    key("file", &["\"50x.html\""], "A file of HTML, read with the configuration."),
    key(
        "path",
        &["\"/errors/404.html\""],
        "The route for this path answers, asked with GET; a text with variables.",
    ),
    key("route", &["\"@app\""], "The route of this name answers, asked as the client asked."),
    key("redirect", &["\"https://$host/sorry\""], "The client is sent there."),
    key(
        "status",
        &["200", "\"answer\""],
        "The status of what is shown; `answer`: that of the route that answers.",
    )
    .otherwise("that of the error; 302 for a redirect"),
];

const RATE_LIMITS: &[ConfigKey] = &[
    key("rate", &["\"60/s\"", "\"100/m\""], "Requests in a second or a minute."),
    key("burst", &["20"], "Requests at once, beyond the rate.").or("0"),
    key(
        "by",
        &["\"header:X-Api-Key\"", "\"$http_x_api_key\""],
        "Whose requests are counted together: `client_ip` (IPv6 by /64), `service`, `header:NAME` (without the field: \
         the address), or a text with variables (where it is empty, nothing is counted).",
    )
    .or("\"client_ip\""),
    key("status", &["503"], "The answer beyond the limit, with `Retry-After`.").or("429"),
    key("size", &["100000"], "Keys that are remembered; beyond them the oldest is forgotten.").or("65536"),
];

const MAINTENANCE: &[ConfigKey] = &[
    key("page", &["\"maintenance.html\""], "The page for browsers.").otherwise("a plain one"),
    key("allow", &["[\"10.0.0.0/8\"]"], "Clients that are served all the same.").or("[]"),
    key("pass", &["[\"/health\"]"], "Exact paths that are served all the same.")
        .otherwise("those of the health checks, but for `/`"),
];

const HEADERS: &[ConfigKey] = &[
    key("response", &["{ set = { X-Frame-Options = \"DENY\" } }"], "Fields of answers, errors included."),
    key("request", &["{ set = { X-Site = \"$host\" } }"], "Fields of requests to upstreams."),
];

const RESPONSE_EDITS: &[ConfigKey] = &[
    key(
        "set",
        &[
            "{ X-Frame-Options = \"DENY\" }",
            "{ Cache-Control = { value = \"max-age=3600\", on = \"success\" } }",
        ],
        "Fields with their values, in place of those there are.",
    ),
    key(
        "add",
        &["{ X-Site = \"$host\" }", "{ X-Site = { value = \"$host\", on = \"success\" } }"],
        "Fields with their values, beside those there are.",
    ),
    key("remove", &["[\"Server\"]"], "Names of fields that are taken out.").or("[]"),
];

const FIELD: &[ConfigKey] = &[
    key("value", &["\"max-age=3600\""], "The value."),
    key(
        "on",
        &["\"success\""],
        "`success`: on answers with 200, 201, 204, 206, 301, 302, 303, 304, 307 and 308 alone, as nginx's `add_header` without \
         `always`.",
    )
    .or("\"always\""),
];

const REQUEST_EDITS: &[ConfigKey] = &[
    key("set", &["{ X-Site = \"$host\" }"], "Fields with their values, in place of those there are."),
    key("add", &["{ X-Site = \"$host\" }"], "Fields with their values, beside those there are."),
    key("remove", &["[\"Cookie\"]"], "Names of fields that are taken out.").or("[]"),
];
