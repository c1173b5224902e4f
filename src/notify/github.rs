//! GitHub: a rollout is a deployment with its statuses, a failure an issue.
//!
//! The deployment's id is remembered for each rollout, so that a status finds it after a restart too. The
//! issue comes last: a letter that is brought again sets the same status again, which changes nothing,
//! and opens no second issue.

use super::outcome::{Failure, send};
use super::text;
use crate::control::journal::JournalError;
use crate::control::journal::outbox::Outbox;
use crate::core::notice::{Kind, Notice};
use crate::core::settings::Github;
use reqwest::Client;
use serde_json::{Value, json};

/// GitHub refuses longer descriptions of a status.
const DESCRIPTION_MAX: usize = 140;

/// Where the notices of one GitHub receiver are written.
pub(super) struct Desk<'a> {
    pub name: &'a str,
    pub settings: &'a Github,
    pub outbox: &'a Outbox,
    pub client: &'a Client,
}

impl Desk<'_> {
    pub(super) async fn tell(&self, notice: &Notice) -> Result<(), Failure> {
        let mut refused = None;
        if let Some((state, rollout)) = state(notice.kind).zip(notice.rollout.as_deref())
            && self.settings.deployment
        {
            match self.set_status(notice, rollout, state).await {
                // What one call is refused for need not stand in the way of the other.
                Err(Failure::Never(why)) => refused = Some(Failure::Never(format!("deployment: {why}"))),
                result => result?,
            }
        }
        if self.settings.issue && is_trouble(notice.kind) {
            self.post("issues", &issue(notice)).await.map_err(|failure| match failure {
                Failure::Never(why) => Failure::Never(format!("issue: {why}")),
                later @ Failure::Later { .. } => later,
            })?;
        }
        refused.map_or(Ok(()), Err)
    }

    async fn set_status(&self, notice: &Notice, rollout: &str, state: &str) -> Result<(), Failure> {
        let deployment = match self.outbox.recall(self.name, rollout).await.map_err(unstored)? {
            Some(deployment) => deployment,
            None => self.create(notice, rollout).await?,
        };
        let status = json!({
            "state": state,
            "environment": self.settings.environment,
            "description": text::shortened(&text::plain(notice), DESCRIPTION_MAX),
        });
        self.post(&format!("deployments/{deployment}/statuses"), &status).await.map(drop)
    }

    /// A deployment of the version, which GitHub must know as a branch, a tag or a commit.
    async fn create(&self, notice: &Notice, rollout: &str) -> Result<String, Failure> {
        let deployment = json!({
            "ref": notice.version.as_ref().unwrap_or(&notice.service),
            "environment": self.settings.environment,
            "description": text::shortened(&format!("{} {rollout}", notice.service), DESCRIPTION_MAX),
            "auto_merge": false,
            "required_contexts": [],
            "payload": { "rollout": rollout },
        });
        let answer = self.post("deployments", &deployment).await?;
        let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
        let id = answer["id"].as_u64().map(|id| id.to_string());
        let id = id.ok_or_else(|| Failure::Never("the answer has no deployment id".into()))?;
        self.outbox.remember(self.name, rollout, &id).await.map_err(unstored)?;
        Ok(id)
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Vec<u8>, Failure> {
        let url = format!("{}/repos/{}/{path}", self.settings.api, self.settings.repo);
        let request = self
            .client
            .post(url)
            .bearer_auth(&self.settings.token)
            .header("Accept", "application/vnd.github+json")
            .header("X-GitHub-Api-Version", "2022-11-28");
        send(request.json(body)).await
    }
}

/// The state of the deployment that a notice leads to.
fn state(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Started | Kind::Step => Some("in_progress"),
        Kind::Promoted => Some("success"),
        Kind::Aborted => Some("failure"),
        Kind::Degraded | Kind::Rollback => Some("error"),
        Kind::Held | Kind::Progress | Kind::Incident | Kind::Approval | Kind::Maintenance => None,
    }
}

fn is_trouble(kind: Kind) -> bool {
    matches!(kind, Kind::Aborted | Kind::Degraded | Kind::Incident)
}

fn issue(notice: &Notice) -> Value {
    let what = match notice.kind {
        Kind::Aborted => format!("{} was aborted", text::subject(notice)),
        Kind::Degraded => format!("{} breaks its limits after the promotion", text::subject(notice)),
        _ => "outage".to_owned(),
    };
    let line = |name: &str, value: Option<&str>| value.map(|value| format!("| {name} | {} |", tame(value)));
    let figures = text::figures(notice);
    let lines = [
        line("reason", notice.reason.as_deref()),
        line("action", notice.action.as_deref()),
        line("status", notice.status.as_deref()),
        line("figures", Some(&figures)),
        line("version", notice.version.as_deref()),
        line("strategy", notice.strategy.as_deref()),
        line("from", notice.from.as_deref()),
        line("to", notice.to.as_deref()),
        line("rollout", notice.rollout.as_deref()),
        line("by", Some(&notice.actor)),
        line("at", Some(&notice.at)),
    ];
    let lines: Vec<String> = lines.into_iter().flatten().collect();
    json!({
        "title": tame(&format!("{}: {what}", notice.service)),
        "body": format!("| | |\n|---|---|\n{}\n", lines.join("\n")),
    })
}

/// No mention, no new row: what an upstream happens to say stays text.
fn tame(text: &str) -> String {
    text.replace('@', "@\u{200b}").replace('|', "\\|").replace(['\r', '\n'], " ")
}

fn unstored(error: JournalError) -> Failure {
    Failure::Later { why: error.to_string(), pause: None }
}
