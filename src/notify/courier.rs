//! One receiver's letters, brought in order.

use super::outcome::{Failure, MAX_PAUSE, pause};
use super::{github, text, webhook};
use crate::control::journal::outbox::{Letter, Outbox};
use crate::core::notice::Notice;
use crate::core::settings::{Notify, Receiver};
use crate::observe::clock::wall;
use crate::observe::metrics::Metrics;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::sleep;

/// A letter older than this is given up.
const PATIENCE: Duration = Duration::from_secs(3 * 86_400);
/// Pause after the state store has refused.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// With an empty outbox, until something is put in.
const IDLE: Duration = Duration::from_secs(3600);

pub(super) struct Courier {
    pub settings: Notify,
    pub outbox: Outbox,
    pub metrics: Arc<Metrics>,
    pub client: reqwest::Client,
    pub desk: Arc<Semaphore>,
}

impl Courier {
    /// Delivers until it has to stop; the letter at hand is finished.
    pub(super) async fn run(self, mut stopped: oneshot::Receiver<()>) {
        let mut posted = self.outbox.posted();
        let mut waited_for = None;
        loop {
            posted.mark_unchanged();
            let next = self.next(waited_for.take()).await;
            tokio::select! {
                biased;
                _ = &mut stopped => return,
                changed = posted.changed(), if next == Next::Idle => {
                    if changed.is_err() {
                        return;
                    }
                }
                () = sleep(next.pause()) => {}
            }
            if let Next::Later(_, letter) = next {
                waited_for = letter;
            }
        }
    }

    /// Brings the oldest letter if its time has come, or has been waited for: that counts, since the wall
    /// clock may step meanwhile.
    async fn next(&self, waited_for: Option<i64>) -> Next {
        // It is never closed.
        let _place = self.desk.acquire().await;
        match self.outbox.next_letter(&self.settings.name).await {
            Ok(None) => Next::Idle,
            Ok(Some(letter)) if waited_for == Some(letter.id) => self.bring(letter).await,
            Ok(Some(letter)) => match until(letter.due) {
                Duration::ZERO => self.bring(letter).await,
                wait => Next::Later(wait, Some(letter.id)),
            },
            Err(error) => {
                tracing::error!(receiver = self.settings.name, "{error}");
                Next::Later(STORE_PAUSE, None)
            }
        }
    }

    async fn bring(&self, letter: Letter) -> Next {
        let receiver = self.settings.name.as_str();
        let Some(notice) = &letter.notice else {
            tracing::error!(receiver, "a notice is dropped: another version wrote it");
            return self.settle(letter.id, "dropped").await;
        };
        let kind = notice.kind.label();
        let failure = self.send(&letter, notice).await;
        match failure {
            Ok(()) => {
                tracing::debug!(receiver, kind, "notified");
                self.settle(letter.id, "sent").await
            }
            Err(Failure::Never(why)) => {
                tracing::error!(receiver, kind, "not notified, and not tried again: {why}");
                self.settle(letter.id, "dropped").await
            }
            Err(Failure::Later { why, .. }) if is_over(letter.at) => {
                tracing::error!(receiver, kind, tries = letter.tries + 1, "not notified, given up: {why}");
                self.settle(letter.id, "dropped").await
            }
            Err(Failure::Later { why, pause }) => {
                tracing::warn!(receiver, kind, "not notified, to be tried again: {why}");
                self.put_off(&letter, pause).await
            }
        }
    }

    async fn send(&self, letter: &Letter, notice: &Notice) -> Result<(), Failure> {
        let post =
            |url: &str, body| super::outcome::send(self.client.post(url).json::<serde_json::Value>(&body));
        match &self.settings.receiver {
            Receiver::Slack { url } => post(url, text::slack(notice)).await.map(drop),
            Receiver::Discord { url } => post(url, text::discord(notice)).await.map(drop),
            Receiver::Webhook { url, secret } => {
                let request = webhook::request(&self.client, url, secret.as_deref(), letter, notice);
                super::outcome::send(request).await.map(drop)
            }
            Receiver::Github(settings) => {
                let desk = github::Desk {
                    name: &self.settings.name,
                    settings,
                    outbox: &self.outbox,
                    client: &self.client,
                };
                desk.tell(notice).await
            }
        }
    }

    /// The letter is done with. Until that is written it must not go out again.
    async fn settle(&self, letter: i64, result: &str) -> Next {
        self.metrics.notified(&self.settings.name, result);
        while let Err(error) = self.outbox.take_out(letter).await {
            tracing::error!(receiver = self.settings.name, "{error}");
            sleep(STORE_PAUSE).await;
        }
        Next::Now
    }

    async fn put_off(&self, letter: &Letter, asked: Option<Duration>) -> Next {
        self.metrics.notified(&self.settings.name, "failed");
        let tries = letter.tries.saturating_add(1);
        let pause = asked.unwrap_or_default().max(pause(tries, rand::random()));
        let due = wall().checked_add(pause).unwrap_or(Timestamp::MAX);
        if let Err(error) = self.outbox.put_off(letter.id, tries, due).await {
            tracing::error!(receiver = self.settings.name, "{error}");
        }
        Next::Later(pause, Some(letter.id))
    }
}

/// What a courier does next.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Next {
    Now,
    /// After a pause, with the letter that it was for: it is the oldest, so the others wait, too.
    Later(Duration, Option<i64>),
    /// Once something is put in.
    Idle,
}

impl Next {
    fn pause(self) -> Duration {
        match self {
            Next::Now => Duration::ZERO,
            Next::Later(pause, _) => pause,
            Next::Idle => IDLE,
        }
    }
}

/// Not longer than a pause can be: the wall clock may have been set back.
fn until(due: Timestamp) -> Duration {
    Duration::try_from(due.duration_since(wall())).unwrap_or_default().min(MAX_PAUSE)
}

fn is_over(since: Timestamp) -> bool {
    Duration::try_from(wall().duration_since(since)).is_ok_and(|age| age > PATIENCE)
}
