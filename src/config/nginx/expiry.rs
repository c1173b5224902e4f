//! `expires` → until when successes may be kept.

use super::Import;
use super::scope::Scope;
use crate::core::expires::Expires;

impl<'a> Import<'a> {
    /// As the route has it; for all answers that are made or passed on.
    pub(super) fn expires(&self, scope: &Scope<'a>) -> Option<String> {
        let line = scope.last("expires")?;
        let text = line.args.join(" ");
        if Expires::parse(&text).is_err() {
            let why = "expires of a route is a time, modified and a time, max, epoch or off; of times of the day there are none";
            self.ledger.missing(line, why);
            return None;
        }
        self.ledger.carried(line);
        Some(text).filter(|text| text != "off")
    }
}
