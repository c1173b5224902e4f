//! Who hears of what happens.

use crate::core::notice::Kind;
use std::time::Duration;

/// A receiver of notices.
#[derive(Clone, Debug, PartialEq)]
pub struct Notify {
    /// Unique; what waits for it in the state store is kept under this name.
    pub name: String,
    pub receiver: Receiver,
    pub on: Vec<Kind>,
    /// Time between two notices of progress while a rollout runs; zero is never.
    pub every: Duration,
    /// Empty is all.
    pub services: Vec<String>,
}

#[derive(Clone, PartialEq)]
pub enum Receiver {
    Slack {
        url: String,
    },
    Discord {
        url: String,
    },
    /// The notice as JSON. With a secret the body is signed: HMAC-SHA-256.
    Webhook {
        url: String,
        secret: Option<String>,
    },
    Github(Github),
}

/// Deployment statuses and incident issues of one repository.
#[derive(Clone, PartialEq)]
pub struct Github {
    /// The base of the API, without a slash at its end.
    pub api: String,
    /// `owner/name`.
    pub repo: String,
    pub token: String,
    pub environment: String,
    pub deployment: bool,
    pub issue: bool,
}

impl Notify {
    /// Whether it wants a notice; one about the whole site has no service.
    pub fn wants(&self, kind: Kind, service: &str) -> bool {
        let concerned =
            service.is_empty() || self.services.is_empty() || self.services.iter().any(|s| s == service);
        self.on.contains(&kind) && concerned
    }
}

impl Receiver {
    /// As in the configuration.
    pub fn label(&self) -> &'static str {
        match self {
            Receiver::Slack { .. } => "slack",
            Receiver::Discord { .. } => "discord",
            Receiver::Webhook { .. } => "webhook",
            Receiver::Github(_) => "github",
        }
    }
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Neither tokens nor URLs, which are secrets themselves.
        write!(f, "Receiver({})", self.label())
    }
}

impl std::fmt::Debug for Github {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Github({})", self.repo)
    }
}
