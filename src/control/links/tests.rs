//! Links of a process that has never run before, for the tests of others.

use super::*;

impl Links {
    /// Of a process with this configuration that has never run before.
    pub(in crate::control) fn for_tests(config: &str, dir: &std::path::Path) -> Self {
        let config = crate::config::parse(config, "test", &|_| None, dir).expect("a configuration");
        let (recorder, clock) = (Arc::new(Recorder::new(1)), Clock::start());
        Links {
            config: Arc::new(config),
            metrics: Arc::new(Metrics::new(recorder.clone(), clock).expect("metrics")),
            recorder,
            own: OwnAddresses::new([], ([127, 0, 0, 1], 0).into(), |_| false),
            clock,
            journal: Journal::open(dir).expect("a store").0,
            jobs: tokio::sync::mpsc::unbounded_channel().0,
            written: tokio::sync::mpsc::unbounded_channel().0,
            ended: RefCell::default(),
        }
    }
}
