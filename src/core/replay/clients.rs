//! The clients that met what speaks against a pool, as far as a log names them.

use crate::core::client::ClientKey;
use crate::core::policy::MAX_CLIENTS;
use std::collections::VecDeque;

/// Answers whose clients are remembered, as live.
const KEPT: usize = 64;

/// The clients that met something last, and when.
#[derive(Clone, Debug, Default)]
pub(super) struct ReplayClients(Vec<(ClientKey, u64)>);

impl ReplayClients {
    pub(super) fn note(&mut self, client: Option<ClientKey>, at_us: u64) {
        let Some(client) = client else { return };
        if let Some(known) = self.0.iter_mut().find(|(known, _)| *known == client) {
            known.1 = at_us;
            return;
        }
        if self.0.len() >= MAX_CLIENTS
            && let Some(oldest) = (0..self.0.len()).min_by_key(|index| self.0[*index].1)
        {
            self.0.swap_remove(oldest);
        }
        self.0.push((client, at_us));
    }

    pub(super) fn since(&self, since_us: u64) -> usize {
        self.0.iter().filter(|(_, at)| *at >= since_us).count()
    }
}

/// Who took how long lately, as the bucket of a latency.
#[derive(Clone, Debug, Default)]
pub(super) struct RecentAnswers(VecDeque<(ClientKey, u64, Took)>);

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Took {
    ToHead(usize),
    ToEnd(usize),
}

impl Took {
    fn is_over(self, threshold: Took) -> bool {
        match (self, threshold) {
            (Took::ToHead(took), Took::ToHead(most)) | (Took::ToEnd(took), Took::ToEnd(most)) => took > most,
            _ => false,
        }
    }
}

impl RecentAnswers {
    pub(super) fn note(&mut self, client: Option<ClientKey>, at_us: u64, took: Took) {
        let Some(client) = client else { return };
        if self.0.len() >= KEPT {
            self.0.pop_front();
        }
        self.0.push_back((client, at_us, took));
    }

    /// The clients of what took longer than a bucket since a time.
    pub(super) fn over(&self, threshold: Took, since_us: u64) -> usize {
        let over = self.0.iter().filter(|(_, at_us, took)| *at_us >= since_us && took.is_over(threshold));
        let mut clients: Vec<_> = over.map(|(client, ..)| *client).collect();
        clients.sort_unstable();
        clients.dedup();
        clients.len()
    }
}
