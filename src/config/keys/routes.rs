//! `[[routes]]`.

use super::{ConfigKey, KeyPage, KeyTable, key};

pub(super) const PAGE: KeyPage = KeyPage {
    file: "routes",
    tables: &[
        KeyTable {
            places: &["routes[]"],
            about: "Which requests go where. A route leads to exactly one of `service`, `redirect`, `reply`, `files`, `deny`, \
                    `onward` and `admin`.",
            keys: ROUTES,
        },
        KeyTable {
            places: &["routes[].when"],
            about: "What must hold of a request beside host and path: at least one condition, and all of them. Where they do not \
                    hold, the route is as if it were not there. Of routes with the same path, those with conditions come first, \
                    in the order of the file.",
            keys: WHEN,
        },
        KeyTable {
            places: &["routes[].when.header", "routes[].when.cookie", "routes[].when.query"],
            about: "A condition of a route. With neither `equals` nor `matches` it is enough that the thing is there.",
            keys: super::services::CONDITION,
        },
        KeyTable {
            places: &[
                "routes[].when.value",
                "routes[].when.value[]",
                "services.*.rules[].value",
                "services.*.rules[].value[]",
            ],
            about: "A condition of a text with [variables](../values.md). With neither `equals` nor `matches` it is \
                    enough that it is neither empty nor `0`.",
            keys: VALUE,
        },
        KeyTable {
            places: &[
                "routes[].when.file",
                "routes[].when.file[]",
                "services.*.rules[].file",
                "services.*.rules[].file[]",
            ],
            about: "A condition of a file, which is looked for with each request.",
            keys: FILE,
        },
        KeyTable { places: &["routes[].redirect"], about: "Sends clients elsewhere.", keys: REDIRECT },
        KeyTable { places: &["routes[].reply"], about: "Answers by itself.", keys: REPLY },
        KeyTable { places: &["routes[].files"], about: "Serves files of a folder.", keys: FILES },
        KeyTable {
            places: &["routes[].basic_auth"],
            about: "Clients show a name and a password, and get 401 without, whatever the route leads to. Passwords are verified \
                    away from the workers, few at a time; where too many wait, the answer is 503.",
            keys: BASIC_AUTH,
        },
        KeyTable {
            places: &["routes[].authorize"],
            about: "A service is asked about each request before it goes on, whatever the route leads to. 2xx lets it pass; 401, \
                    403 and redirects are the client's answer; all else is 500.",
            keys: AUTHORIZE,
        },
        KeyTable {
            places: &["routes[].authorize.forward[]"],
            about: "A field that the upstream gets by another name.",
            keys: FORWARD,
        },
        KeyTable {
            places: &["routes[].timeouts"],
            about: "In place of the pool's, and of the listener's for `body`.",
            keys: TIMEOUTS,
        },
        KeyTable {
            places: &["routes[].limits"],
            about: "In place of the listener's, and by client.",
            keys: LIMITS,
        },
        KeyTable {
            places: &["routes[].rewrite[]"],
            about: "A rule for the path that the upstream, the files or the redirect see. The first one that fits decides.",
            keys: REWRITE,
        },
        KeyTable {
            places: &["routes[].relocate[]"],
            about: "What becomes of a `Location` of the upstream.",
            keys: RELOCATE,
        },
        KeyTable {
            places: &["routes[].cookie_paths[]"],
            about: "What becomes of the `Path` of the upstream's cookies. The first rule that fits counts.",
            keys: COOKIE_PATHS,
        },
        KeyTable {
            places: &["routes[].cookie_domains[]"],
            about: "What becomes of the `Domain` of the upstream's cookies.",
            keys: COOKIE_DOMAINS,
        },
        KeyTable {
            places: &["routes[].cookie_flags", "routes[].cookie_flags[]"],
            about: "Flags of the upstream's cookies; what is left out stays as the upstream says. One table for all cookies, or a \
                    list of them, of which the first that fits a cookie counts.",
            keys: COOKIE_FLAGS,
        },
        KeyTable {
            places: &["routes[].cookie_flags[]"],
            about: "With neither of these, all cookies.",
            keys: COOKIE_NAMES,
        },
    ],
};

const ROUTES: &[ConfigKey] = &[
    key(
        "hosts",
        &["[\"site.example\", \"*.site.example\"]", "[\"shop.*\"]", "['~^shop[0-9]+[.]example$']"],
        "Names that clients ask for: an exact one comes first, then the longest `*.name`, the longest `name.*`, and the first \
         pattern of the file.",
    )
    .otherwise("any name"),
    key(
        "path",
        &["\"/api/\"", "\"= /health\"", "'~ \\.php$'"],
        "`/x`: a prefix; `= /x`: exact; `^~ /x`: a prefix that no regular expression overrides; `~ x`, `~* x`: a regular \
         expression, with and without regard to case; `@x`: a name, which fallbacks and error pages lead to.",
    )
    .or("\"/\""),
    key(
        "within",
        &["\"/uploads/\""],
        "For a regular expression: it is tried first, and only for paths whose longest prefix this is.",
    ),
    key(
        "first",
        &["true"],
        "`true`: it comes before all other routes of its hosts, whatever their paths, and only for requests that have no route yet.",
    )
    .or("false"),
    key("when", &["{ methods = [\"POST\"] }"], "What must hold of a request, too.").otherwise("nothing else"),
    key("listeners", &["[\"127.0.0.1:8080\"]"], "Only requests that came in there.").otherwise("all listeners"),
    key("service", &["\"web\""], "Leads to a service."),
    key("redirect", &["{ to = \"https://$host$request_uri\" }"], "Sends clients elsewhere."),
    key("reply", &["{ status = 200, body = \"healthy\\n\" }"], "Answers by itself."),
    key("files", &["{ root = \"/srv/app\" }"], "Serves files of a folder."),
    key("deny", &["true"], "Answers 403."),
    key(
        "onward",
        &["true"],
        "With `first`: leads on to the routes behind it, with what `rewrite` has made of the path.",
    ),
    key(
        "admin",
        &["\"maintenance\""],
        "Opens that call of the admin API at the site's address; with `path = \"= /api/maintenance\"` and a token.",
    ),
    key("allow", &["[\"10.0.0.0/8\"]"], "Clients that are served; others get 403.").otherwise("all"),
    key("deny_from", &["[\"192.0.2.0/24\"]"], "Clients that get 403.").or("[]"),
    key(
        "basic_auth",
        &["{ realm = \"site\", file = \"htpasswd\" }"],
        "Clients show a name and a password.",
    ),
    key(
        "authorize",
        &["{ service = \"web\", path = \"/check\", forward = [\"X-User\"] }"],
        "A service is asked about each request.",
    ),
    key(
        "satisfy",
        &["\"any\""],
        "`all`: networks, password and service have to agree; `any`: one of `allow`, `basic_auth` and `authorize` is enough.",
    )
    .or("\"all\""),
    key("timeouts", &["{ read = \"5m\" }"], "In place of the pool's."),
    key("limits", &["{ body = \"1M\" }"], "In place of the listener's, and by client."),
    key("headers", &["{ response = { set = { X-Frame-Options = \"DENY\" } } }"], "In place of the site's.")
        .otherwise("`[headers]`"),
    key(
        "expires",
        &["\"30d\"", "\"max\"", "\"epoch\"", "\"-1s\"", "\"modified 1d\"", "\"$sent_http_x_expires\""],
        "Sets `Expires` and `Cache-Control` of successes, as nginx's `expires` does: a time (`s`, `m`, `h`, `d`, `w`, `M`, `y`), \
         `max` (ten years), `epoch` or a negative time (`no-cache`), `off`; behind `modified`, a time from `Last-Modified` on. \
         A text with [variables](../values.md) is read for each answer; what is none of these is `off`.",
    )
    .or("\"off\""),
    key("error_pages", &["{ 404 = \"404.html\" }"], "In place of all of the site's.").otherwise("`[error_pages]`"),
    key(
        "intercept",
        &["true"],
        "`true`: answers of the upstream from 300 on that have an error page are replaced by it, too.",
    )
    .or("false"),
    key(
        "internal",
        &["true"],
        "`true`: reached only from other routes: fallbacks, error pages, rewriting, a folder's file, `X-Accel-Redirect`. Clients \
         get 404.",
    )
    .or("false"),
    key("strip_prefix", &["\"/api\""], "Is taken off the path: the upstream sees `/users` for `/api/users`."),
    key("path_to", &["\"/v2/\""], "Takes the place of the route's own path: the upstream sees `/v2/users`."),
    key(
        "rewrite",
        &["[{ match = '^/old/(.*)$', to = \"/new/$1\" }]"],
        "Rules for the path, before `strip_prefix` and `path_to`.",
    )
    .or("[]"),
    key("relocate", &["[{ from = \"http://app/\", to = \"/\" }]"], "Rules for the places the upstream redirects to.").or("[]"),
    key(
        "cookie_paths",
        &["[{ from = \"/app/\", to = \"/\" }]"],
        "Rules for the `Path` of the upstream's cookies.",
    )
    .or("[]"),
    key(
        "cookie_domains",
        &["[{ from = \"app.internal\", to = \"$host\" }]"],
        "Rules for the `Domain` of the upstream's cookies.",
    )
    .or("[]"),
    key(
        "cookie_flags",
        &["{ secure = true, same_site = \"lax\" }", "[{ name = \"sid\", secure = true }]"],
        "Flags of the upstream's cookies.",
    ),
    key(
        "forwarded",
        &["\"append\""],
        "What the upstream learns of clients, in place of what its pool says; see [pools](pools.md).",
    )
    .otherwise("as the pool says"),
    key("compression", &["false"], "`false`: none on this route.").or("true"),
    key("access_log", &["false"], "`false`: no line in the access log.").or("true"),
    key("measure", &["false"], "`false`: what comes of its requests is no evidence, and in no figure of a pool.").or("true"),
];

const REDIRECT: &[ConfigKey] = &[
    key("to", &["\"https://$host$request_uri\""], "The place, a text with [variables](../values.md)."),
    key("status", &["308"], "301, 302, 303, 307 or 308.").or("301"),
];

const REPLY: &[ConfigKey] = &[
    key("status", &["404", "444"], "The status; 444: the connection is closed without an answer.").or("200"),
    key("body", &["\"healthy\\n\""], "The body, a text with [variables](../values.md).").or("\"\""),
    key("type", &["\"text/html\""], "Its media type.").or("\"text/plain\""),
];

const FILES: &[ConfigKey] = &[
    key("root", &["\"/srv/app\""], "The folder."),
    key(
        "below",
        &["\"$host\"", "\"sites/$arg_site/public\""],
        "The folder below it that is the request's own, a text with [variables](../values.md). A request that makes no folder \
         of it (a part that is empty, or begins with a dot) has no files.",
    )
    .otherwise("the folder itself"),
    key(
        "index",
        &["\"start.html\"", "[\"index.html\", \"index.htm\"]"],
        "The file of a folder: the first name that is there.",
    )
    .or("\"index.html\""),
    key(
        "try",
        &["[\"$path\", \"$path.html\", \"$path/\"]"],
        "What a path stands for, in this order: its file (`$path`), the one with an ending (`$path.html`, `$path/index.html`), \
         its folder (`$path/`: where there is one without its file, the answer is 403), or a certain file \
         (`/maintenance.html`).",
    )
    .otherwise("`[\"$path\", \"$path/\"]`"),
    key(
        "autoindex",
        &["true", "\"json\""],
        "`true`: a folder without its file is listed, as JSON for those who ask for it; `json`: as JSON for everybody. Else \
         the answer is 403.",
    )
    .or("false"),
    key(
        "symlinks",
        &["\"off\"", "\"any\""],
        "Which symbolic links are followed: `inside`: those that stay in the folder; `off`: none; `any`: all.",
    )
    .or("\"inside\""),
    key(
        "alias",
        &["true"],
        "Takes the route's path off the request's; for a path that ends in `/`, or an exact one.",
    )
    .or("false"),
    key("folders", &["false"], "`false`: a path of a folder has no file.").or("true"),
    key("default_type", &["\"text/plain\""], "The media type of files whose names say none.")
        .or("\"application/octet-stream\""),
    key(
        "fallback",
        &["\"/index.html\"", "\"@app\"", "404"],
        "Where there is no file: a path, the name of a route, or a status.",
    )
    .otherwise("404"),
];

const BASIC_AUTH: &[ConfigKey] = &[
    key("realm", &["\"site\""], "What browsers show."),
    key(
        "file",
        &["\"htpasswd\""],
        "Names and hashes, `name:hash`: bcrypt (`htpasswd -B`), apr1, MD5-crypt, SHA-crypt, `{SHA}`, `{SSHA}`, and \
         `{PLAIN}` with a warning. It is read with the configuration.",
    ),
];

const AUTHORIZE: &[ConfigKey] = &[
    key("service", &["\"web\""], "The service that is asked, over its pools and weights."),
    key("path", &["\"/check\""], "What it is asked for, by GET.").or("\"/\""),
    key(
        "forward",
        &["[\"X-User\", \"X-Groups\"]", "[{ from = \"X-Auth-Request-User\", to = \"X-User\" }]"],
        "Fields of its answer that the upstream gets, by their names, or by another one. What clients send under these names \
         is taken off.",
    )
    .or("[]"),
    key(
        "signin",
        &["\"/oauth2/start?rd=$request_uri\""],
        "Where browsers are sent in place of 401; values in the query are encoded. It may use `$host`, `$scheme`, \
         `$request_uri`, `$path`, `$args` and `$is_args`.",
    )
    .otherwise("they get its answer"),
];

const FORWARD: &[ConfigKey] = &[
    key("from", &["\"X-Auth-Request-User\""], "What it is called in the service's answer."),
    key("to", &["\"X-User\""], "What it is called for the upstream."),
];

const TIMEOUTS: &[ConfigKey] = &[
    key("connect", &["\"5s\""], "See the pool's.").otherwise("the pool's"),
    key("read", &["\"5m\""], "See the pool's.").otherwise("the pool's"),
    key("write", &["\"1m\""], "See the pool's.").otherwise("the pool's"),
    key("body", &["\"5m\"", "\"off\""], "Silence within a request's body; `off`: any.")
        .otherwise("the listener's"),
];

const LIMITS: &[ConfigKey] = &[
    key("body", &["\"1M\""], "Bytes of a request's body.").otherwise("the listener's"),
    key("body_rate", &["\"0\""], "The least bytes a second of a body; `0`: any.").otherwise("the listener's"),
    key("rates", &["[\"api\"]"], "Names of `[rate_limits]` that its requests count in.").or("[]"),
    key("connections_per_client", &["20"], "Requests of a client at a time, 429 beyond them; 0: no limit.")
        .or("0"),
];

const REWRITE: &[ConfigKey] = &[
    key("match", &["'^/old/(.*)$'"], "A regular expression over the path."),
    key("to", &["\"/new/$1\""], "The path, or with `status` the place; `$1` is a group, a `?` at the end drops the query."),
    key("status", &["301"], "Sends the client there: 301, 302, 303, 307 or 308.").otherwise("the path is changed here"),
    key(
        "then",
        &["\"next\""],
        "`stay`: the route goes on with it; `next`: so does the next rule; `route`: routes are searched again.",
    )
    .or("\"stay\""),
];

const RELOCATE: &[ConfigKey] = &[
    key("from", &["\"http://app/\""], "What a `Location` begins with."),
    key("to", &["\"/\""], "What it begins with in place of that."),
];

const VALUE: &[ConfigKey] = &[
    key("of", &["\"$host\"", "\"$http_origin\""], "The text."),
    key("equals", &["\"a.example\""], "Its whole value."),
    key("matches", &["'^https://'"], "A regular expression that is found in it."),
    key("not", &["true"], "`true`: the contrary must hold.").or("false"),
];

const FILE: &[ConfigKey] = &[
    key("path", &["\"/srv/maintenance.on\""], "The file."),
    key("not", &["true"], "`true`: there must be none.").or("false"),
];

const COOKIE_PATHS: &[ConfigKey] = &[
    key("from", &["\"/app/\""], "What a path begins with."),
    key(
        "matches",
        &["'^/app/(v[0-9])/'"],
        "In place of `from`: a regular expression; what fits is replaced whole.",
    ),
    key(
        "to",
        &["\"/\""],
        "What it begins with, or is, in place of that; it may use `$host`, and groups of `matches`.",
    ),
];

const COOKIE_DOMAINS: &[ConfigKey] = &[
    key("from", &["\"app.internal\""], "The domain, with or without its leading dot."),
    key(
        "to",
        &["\"$host\"", "\"\""],
        "What stands for it; it may use `$host`. Empty: a cookie of the host alone.",
    ),
];

const COOKIE_FLAGS: &[ConfigKey] = &[
    key("secure", &["true"], "`Secure`, or not.").otherwise("as the upstream says"),
    key("http_only", &["true"], "`HttpOnly`, or not.").otherwise("as the upstream says"),
    key("same_site", &["\"lax\""], "`strict`, `lax` or `none`.").otherwise("as the upstream says"),
];

const COOKIE_NAMES: &[ConfigKey] = &[
    key("name", &["\"sid\""], "The name of a cookie, in any case."),
    key("matches", &["'^sess'"], "A regular expression for names."),
];

const WHEN: &[ConfigKey] = &[
    key("methods", &["[\"GET\", \"HEAD\"]"], "Methods.").or("[]"),
    key("header", &["{ name = \"X-Team\", equals = \"payments\" }"], "A header field."),
    key("cookie", &["{ name = \"plan\", matches = \"^gold\" }"], "A cookie."),
    key("query", &["{ name = \"beta\" }"], "A parameter of the query, as the client wrote it."),
    key("networks", &["[\"203.0.113.0/24\"]"], "Networks that the client is in.").or("[]"),
    key(
        "value",
        &["[{ of = \"$http_origin\", matches = '^https://' }]"],
        "Texts with variables; one table, or a list of them.",
    ),
    key("file", &["[{ path = \"/srv/maintenance.on\" }]"], "Files; one table, or a list of them."),
];
