//! The task that follows Docker, as the newest configuration says.

use super::engine::{Engine, Events};
use super::events::{Event, News};
use super::roster::{Roster, Unplaced};
use super::signal;
use crate::control::command::{Controller, Input};
use crate::core::container::{Containers, DockerStatus};
use crate::core::settings::{Config, Docker};
use crate::observe::clock::Clock;
use crate::observe::metrics::DockerGauge;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch::{Receiver, Sender};
use tokio::time::sleep;

/// Pauses between two tries to reach Docker: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long after a start the containers are listed: a thousand that start at once are listed once.
const LISTED_AFTER: Duration = Duration::from_millis(10);
/// How often the containers are listed though nothing has happened.
const LISTED_EVERY: Duration = Duration::from_secs(30);

/// What the log says of a Docker that does not answer, and of one that does not list its containers.
const UNFOLLOWED: &str = "Docker is not followed, and its containers stay as they are";
const UNLISTED: &str = "Docker does not list its containers, and only what ends is followed";

/// Tells the controller of containers until it stops.
pub async fn watch(
    controller: Controller,
    configs: Receiver<Arc<Config>>,
    (status, gauge): (Sender<DockerStatus>, Arc<DockerGauge>),
    clock: Clock,
) {
    let (roster, list_at) = (Roster::default(), clock.now());
    let mut watcher = Watcher {
        controller,
        configs,
        status,
        gauge,
        clock,
        roster,
        list_at,
        sent: None,
        warned: Vec::new(),
        unlisted: None,
    };
    while watcher.follow().await {}
}

struct Watcher {
    controller: Controller,
    configs: Receiver<Arc<Config>>,
    status: Sender<DockerStatus>,
    gauge: Arc<DockerGauge>,
    clock: Clock,
    roster: Roster,
    /// When the containers are listed whatever happens.
    list_at: Duration,
    /// What the controller knows.
    sent: Option<Arc<Containers>>,
    /// What the log knows.
    warned: Vec<Unplaced>,
    /// Why the containers cannot be listed, while events still come.
    unlisted: Option<String>,
}

/// Why a stream is not followed any more.
enum Left {
    /// Docker is to be asked elsewhere, or not at all.
    Reconfigured,
    /// The controller or the configuration has gone.
    Stopped,
    /// Docker does not answer.
    Down(String),
    /// The stream has ended, as proxies end what is idle for long.
    Ended,
}

impl Watcher {
    /// Follows Docker as the configuration says now, until it says something else; whether to go on.
    async fn follow(&mut self) -> bool {
        let config = self.configs.borrow_and_update().clone();
        let Some(docker) = config.docker.clone() else {
            self.status.send_replace(DockerStatus::default());
            self.gauge.set(None);
            self.roster = Roster::default();
            return self.tell(&config).await && self.configs.changed().await.is_ok();
        };
        let engine = Engine(docker.socket.clone());
        let mut pause = FIRST_PAUSE;
        loop {
            let began = self.clock.now();
            let why = match self.stream(&engine, &docker).await {
                Left::Reconfigured => return true,
                Left::Stopped => return false,
                Left::Down(why) => Some(why),
                Left::Ended => None,
            };
            if self.clock.now() > began + LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            if let Some(why) = why {
                self.is_down(&docker, UNFOLLOWED, why);
            }
            tokio::select! {
                () = sleep(pause) => (),
                changed = self.configs.changed() => return changed.is_ok(),
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn stream(&mut self, engine: &Engine, docker: &Docker) -> Left {
        let mut events = match engine.events().await {
            Ok(events) => events,
            Err(why) => return Left::Down(why),
        };
        self.unlisted = None;
        if let Err(left) = self.list(engine, true).await {
            return left;
        }
        loop {
            match self.step(engine, docker, &mut events).await {
                Ok(()) => (),
                Err(left) => return left,
            }
        }
    }

    /// Waits for the next thing to happen, and takes it in.
    async fn step(&mut self, engine: &Engine, docker: &Docker, events: &mut Events) -> Result<(), Left> {
        let pause = self.list_at.saturating_sub(self.clock.now());
        tokio::select! {
            event = events.next() => self.event(engine, event.map_err(|_| Left::Ended)?).await,
            () = sleep(pause) => {
                self.roster.forgive(self.clock.now());
                self.list_again(engine, docker).await
            }
            changed = self.configs.changed() => {
                changed.map_err(|_| Left::Stopped)?;
                let config = self.configs.borrow_and_update().clone();
                if config.docker.as_ref() != Some(docker) {
                    self.configs.mark_changed();
                    return Err(Left::Reconfigured);
                }
                self.told(&config).await
            }
        }
    }

    async fn event(&mut self, engine: &Engine, event: Event) -> Result<(), Left> {
        let Event { id, news } = event;
        match news {
            News::Signal(text) => {
                let number = signal::number(&text);
                let ends = match number {
                    Some(number) if signal::ends(number) => true,
                    Some(number) if self.roster.is_known(&id) => {
                        engine.stop_signal(&id).await == Some(number)
                    }
                    _ => false,
                };
                if !ends || !self.roster.ends(&id, self.clock.now()) {
                    return Ok(());
                }
            }
            News::Ended => self.roster.ended(&id),
            News::Removed => self.roster.removed(&id),
            News::Started => {
                self.roster.started(&id);
                return self.list_soon();
            }
            News::Changed => return self.list_soon(),
        }
        let config = self.configs.borrow().clone();
        self.told(&config).await
    }

    fn list_soon(&mut self) -> Result<(), Left> {
        self.list_at = self.list_at.min(self.clock.now() + LISTED_AFTER);
        Ok(())
    }

    /// Lists the containers while their events are followed. Where that fails, the events go on: they say which containers
    /// end. Once it succeeds again everything begins from the start, since the stream may be a dead one.
    async fn list_again(&mut self, engine: &Engine, docker: &Docker) -> Result<(), Left> {
        match self.list(engine, false).await {
            Ok(()) if self.unlisted.take().is_some() => Err(Left::Ended),
            Err(Left::Down(why)) => {
                self.is_down(docker, UNLISTED, why.clone());
                self.unlisted = Some(why);
                self.list_at = self.clock.now() + LONGEST_PAUSE;
                Ok(())
            }
            other => other,
        }
    }

    async fn list(&mut self, engine: &Engine, begins: bool) -> Result<(), Left> {
        let listed = engine.list().await.map_err(Left::Down)?;
        self.roster.list(listed, begins);
        self.list_at = self.clock.now() + LISTED_EVERY;
        let config = self.configs.borrow().clone();
        self.told(&config).await
    }

    async fn told(&mut self, config: &Arc<Config>) -> Result<(), Left> {
        if self.tell(config).await { Ok(()) } else { Err(Left::Stopped) }
    }

    /// Tells the controller, where there is anything new, and people; false once the controller has stopped.
    async fn tell(&mut self, config: &Config) -> bool {
        let (containers, refused) = self.roster.placed(config);
        let containers = Arc::new(containers);
        let is_new = self.sent.as_ref() != Some(&containers);
        let is_taken = !is_new || self.controller.tell(Input::Containers { all: containers.clone() }).await;
        self.warn(&refused);
        if let Some(docker) = &config.docker {
            self.gauge.set(Some(self.unlisted.is_none()));
            let pools = containers.values().flat_map(|service| service.values());
            self.status.send_replace(DockerStatus {
                socket: Some(docker.socket.to_string()),
                is_tried: true,
                down: self.unlisted.clone(),
                upstreams: pools.map(|pool| pool.upstreams.len()).sum(),
                refused: refused.iter().map(|one| (one.container.clone(), one.why.clone())).collect(),
            });
        }
        (self.sent, self.warned) = (Some(containers), refused);
        is_taken
    }

    fn warn(&self, refused: &[Unplaced]) {
        for one in refused.iter().filter(|one| !self.warned.contains(one)) {
            tracing::warn!(
                container = one.container,
                id = &*one.id,
                "a container is no upstream: {}",
                one.why
            );
        }
    }

    fn is_down(&self, docker: &Docker, what: &str, why: String) {
        let news = self.status.borrow().down.is_none();
        if news {
            tracing::warn!(socket = %docker.socket, "{what}: {why}");
        }
        self.gauge.set(Some(false));
        self.status.send_modify(|status| {
            status.socket = Some(docker.socket.to_string());
            (status.is_tried, status.down) = (true, Some(why));
        });
    }
}
