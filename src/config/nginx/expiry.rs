//! `expires` → until when successes may be kept.

use super::Import;
use super::scope::Scope;
use super::values::has_variables;
use crate::core::expires::ExpiryRule;
use crate::core::template::Vocabulary;

impl<'a> Import<'a> {
    /// As the route has it; for all answers that are made or passed on.
    pub(super) fn expires(&self, scope: &Scope<'a>) -> Option<String> {
        let line = scope.last("expires")?;
        let text = line.args.join(" ");
        let of_variables = || {
            let text = self.text(&text).map_err(|name| format!("{name} is not known here"))?.shown();
            let names = self.lookups.names();
            ExpiryRule::parse(&text, &Vocabulary { names: Some(&names), has_answer: true, pattern: None })?;
            Ok::<_, String>(text)
        };
        let read = if has_variables(&text) {
            of_variables()
        } else {
            ExpiryRule::parse(&text, &Vocabulary::of_requests()).map(|_| text.clone())
        };
        match read {
            Ok(text) => {
                self.ledger.carried(line);
                Some(text).filter(|text| text != "off")
            }
            Err(why) => {
                self.ledger.missing(line, &why);
                None
            }
        }
    }
}
