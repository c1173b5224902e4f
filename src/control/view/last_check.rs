//! When an upstream was last checked.
//!
//! Most checks change nothing that is shown, and a process may make thousands a second. A view therefore holds the
//! moment itself, together with the live upstream, and is not made again for each check.

use jiff::Timestamp;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// When a check ended last. RFC 3339 with milliseconds, `null` before the first one. A clone goes on with it.
#[derive(Clone, Debug, Default)]
pub struct LastCheck {
    /// Milliseconds since 1970; 0 before the first check.
    unix_ms: Arc<AtomicI64>,
}

impl LastCheck {
    pub(in crate::control) fn note(&self, at: Timestamp) {
        self.unix_ms.store(at.as_millisecond(), Ordering::Relaxed);
    }

    /// No check says anything of the upstream now.
    pub(in crate::control) fn forget(&self) {
        self.unix_ms.store(0, Ordering::Relaxed);
    }

    pub fn at(&self) -> Option<Timestamp> {
        let unix_ms = Some(self.unix_ms.load(Ordering::Relaxed)).filter(|ms| *ms != 0);
        Timestamp::from_millisecond(unix_ms?).ok()
    }
}

impl PartialEq for LastCheck {
    fn eq(&self, other: &Self) -> bool {
        self.at() == other.at()
    }
}

impl Serialize for LastCheck {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.at().map(|at| format!("{at:.3}")).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for LastCheck {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let at = Option::<String>::deserialize(deserializer)?;
        let at = at.map(|at| at.parse::<Timestamp>()).transpose().map_err(D::Error::custom)?;
        let unix_ms = at.map_or(0, Timestamp::as_millisecond);
        Ok(LastCheck { unix_ms: Arc::new(AtomicI64::new(unix_ms)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_goes_on_with_it_and_json_keeps_milliseconds() {
        let live = LastCheck::default();
        let shown = live.clone();
        assert_eq!(serde_json::to_string(&shown).expect("JSON"), "null");
        live.note("2026-11-28T10:15:13.1509Z".parse().expect("a time"));
        let text = serde_json::to_string(&shown).expect("JSON");
        assert_eq!(text, "\"2026-11-28T10:15:13.150Z\"");
        assert_eq!(serde_json::from_str::<LastCheck>(&text).expect("a time"), live);
        live.forget();
        assert_eq!((shown.at(), serde_json::from_str::<LastCheck>("null").expect("none").at()), (None, None));
    }
}
