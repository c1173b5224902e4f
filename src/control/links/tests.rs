//! Links of a process that has never run before, for the tests of others.

use super::*;

impl Links {
    /// Of a process with this configuration that has never run before.
    pub(in crate::control) fn for_tests(config: &str, dir: &std::path::Path) -> Self {
        let config = crate::config::parse(config, "test", &|_| None, dir).expect("a configuration");
        Links {
            config: Arc::new(config),
            recorder: Arc::new(Recorder::new(1)),
            own: OwnAddresses::new([], ([127, 0, 0, 1], 0).into(), |_| false),
            clock: Clock::start(),
            wake: Arc::default(),
            excused_until: std::time::Duration::ZERO,
            is_fleet: false,
            client_salt: [0; 16],
            ended: Arc::default(),
        }
    }
}
