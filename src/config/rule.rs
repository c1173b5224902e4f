//! `[[services.*.rules]]`: requests that go to a pool for what they say.

use super::condition;
use super::reader::{Item, Section};
use crate::core::rule::Rule;
use crate::core::settings::Pool;
use crate::core::tester::Wanted;
use std::collections::BTreeMap;
use std::sync::Arc;

type Pools = BTreeMap<Arc<str>, Pool>;

pub(super) fn rules(section: &Section<'_>, pools: &Pools) -> Arc<[Rule]> {
    section.tables("rules").iter().filter_map(|section| rule(section, pools)).collect()
}

fn rule(section: &Section<'_>, pools: &Pools) -> Option<Rule> {
    let to = section.need("pool", "where do these requests go?", |item| wanted(item, pools));
    let strict = section.item("strict");
    let rule = Rule {
        to: to.clone().unwrap_or(Wanted::Stable),
        strict: strict.as_ref().and_then(Item::bool).unwrap_or_default(),
        when: condition::read(section),
    };
    if let (Some(item), true, Some(Wanted::Candidate)) = (strict, rule.strict, &to) {
        item.fault("has no effect with the candidate: mostly there is none; take it out, or name a pool");
    }
    section.finish();
    to.map(|to| Rule { to, ..rule })
}

fn wanted(item: &Item<'_>, pools: &Pools) -> Option<Wanted> {
    let name = item.string()?;
    let wanted = Wanted::named(&name, pools.keys());
    if wanted.is_none() {
        let names: Vec<_> = pools.keys().map(|name| &**name).collect();
        let names = names.join(", ");
        item.fault(&format!(
            "there is no pool {name}; there are: {names}, and the roles stable and candidate"
        ));
    }
    wanted
}

#[cfg(test)]
mod tests;
