//! Several instances as one: `[fleet]`.

use super::{ConfigKey, KeyPage, KeyTable, key};

pub(super) const PAGE: KeyPage = KeyPage {
    file: "fleet",
    tables: &[
        KeyTable {
            places: &["fleet"],
            about: "Several instances act as one: one state, one verdict, one history. Without this table an instance is alone. \
                    All members have the same file, but for `name`, `etcd` without its `prefix`, `listeners`, `admin`, \
                    `server.state_dir` and `server.threads`. See [the fleet](../fleet.md).",
            keys: FLEET,
        },
        KeyTable {
            places: &["fleet.etcd"],
            about: "The store that all members reach: etcd, 3.4 or newer.",
            keys: ETCD,
        },
        KeyTable {
            places: &["fleet.secret"],
            about: "The secret of the whole site, by which users are assigned, and cookies and links of testers are believed; it takes \
                    the place of the one in `state_dir`. One of `env` and `file`: at least 32 characters, best 64 hexadecimal digits, \
                    which `openssl rand -hex 32` makes. The file `secret` of a `state_dir` is one, too.",
            keys: SECRET,
        },
    ],
};

const FLEET: &[ConfigKey] = &[
    key("name", &["\"edge-1\"", "\"${HOSTNAME}\""], "What this member is called: another name at each, the same after a restart."),
    key(
        "etcd",
        &["{ endpoints = [\"https://10.0.0.1:2379\"], ca = \"ca.pem\" }"],
        "The store that all members reach.",
    ),
    key("secret", &["{ env = \"FLEET_SECRET\" }"], "The secret of the whole site."),
    key(
        "lease",
        &["\"10s\""],
        "How long a member, or a leader, that falls silent counts as there: whole seconds. The longer, the later another one leads.",
    )
    .or("\"5s\""),
    key(
        "forget",
        &["\"1h\""],
        "After so long a member that is missing is none any more, and rollouts go on without it; `pointsman fleet forget` does it at once.",
    )
    .or("\"10m\""),
    key(
        "missing",
        &["\"go_on\""],
        "Rollouts while a member is missing: `hold`: they stand still; `go_on`: they go on with those that are there.",
    )
    .or("\"hold\""),
];

const ETCD: &[ConfigKey] = &[
    key(
        "endpoints",
        &["[\"https://10.0.0.1:2379\", \"https://10.0.0.2:2379\", \"https://10.0.0.3:2379\"]"],
        "All members of etcd, `https://` or `http://` with host and port. One that does not answer is passed over.",
    ),
    key(
        "prefix",
        &["\"sites/tallow\""],
        "What all keys of the fleet begin with; fleets that share etcd need one each.",
    )
    .or("\"pointsman\""),
    key("ca", &["\"ca.pem\""], "The authority of etcd's certificates (PEM).")
        .otherwise("those the system knows"),
    key("cert", &["\"site.pem\""], "The certificate that is shown to etcd (PEM, leaf first); needs `key`.")
        .otherwise("none is shown"),
    key("key", &["\"site.key\""], "Its private key (PEM)."),
    key("user", &["\"pointsman\""], "The user of etcd; needs `password`.")
        .otherwise("the common name of `cert`, if etcd goes by it"),
    key(
        "password",
        &["\"${ETCD_PASSWORD}\""],
        "The password of `user`; it goes by `https://`, or to this machine.",
    ),
];

const SECRET: &[ConfigKey] = &[
    key("env", &["\"FLEET_SECRET\""], "The variable of the environment that holds it."),
    key("file", &["\"fleet-secret\""], "The file that holds it."),
];
