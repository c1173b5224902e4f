//! `[[notify]]`.

use super::{ConfigKey, KeyPage, KeyTable, key};

pub(super) const PAGE: KeyPage = KeyPage {
    file: "notify",
    tables: &[KeyTable {
        places: &["notify[]"],
        about: "Who is sent news of rollouts, outages and maintenance. What could not be delivered waits, over restarts.",
        keys: NOTIFY,
    }],
};

const NOTIFY: &[ConfigKey] = &[
    key("kind", &["\"slack\"", "\"discord\"", "\"webhook\"", "\"github\""], "What the receiver is."),
    key("name", &["\"ops\""], "What waits for it is kept under this name.").otherwise("its kind; for the next `slack-2`"),
    key(
        "on",
        &["[\"promoted\", \"aborted\"]"],
        "What it is sent; `maintenance` only where it is named.",
    )
    .or("[\"started\", \"step\", \"held\", \"progress\", \"promoted\", \"aborted\", \"rollback\", \"degraded\", \"incident\", \"approval\"]"),
    key("every", &["\"1m\"", "\"off\""], "The time between two of `progress` while a rollout runs; `off`: none.").or("\"5m\""),
    key("services", &["[\"web\"]"], "Of which services.").otherwise("of all"),
    key("url", &["\"${HOOK_URL}\""], "The address to post to; for all but `github`."),
    key(
        "secret",
        &["\"${HOOK_SECRET}\""],
        "For `webhook`: what `X-Pointsman-Signature` is made with (HMAC-SHA-256 of the body).",
    )
    .otherwise("it is not signed"),
    key("repo", &["\"owner/name\""], "For `github`: the repository."),
    key("token", &["\"${GITHUB_TOKEN}\""], "For `github`: a token that may write deployments and issues."),
    key("environment", &["\"staging\""], "For `github`: the environment of the deployments.").or("\"production\""),
    key("deployment", &["false"], "For `github`: a deployment for each rollout, with its statuses.").or("true"),
    key("issue", &["false"], "For `github`: an issue for each abort, degradation and outage.").or("true"),
    key("api", &["\"https://github.example/api/v3\""], "For `github`: its API.").or("\"https://api.github.com\""),
];
