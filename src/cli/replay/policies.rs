//! Which policy is held against the log, and its variants for `--what-if`.

use super::super::client::Failure;
use super::asked::Replay;
use crate::config;
use crate::core::policy::{Limit, Policy};
use std::sync::Arc;

const ERROR_RATES: [f64; 4] = [0.005, 0.01, 0.02, 0.05];
const ALPHAS: [f64; 3] = [0.01, 0.001, 0.0001];

/// The policy, without what no log tells of, which is named.
pub(super) fn chosen(asked: &Replay) -> Result<(Arc<Policy>, Vec<String>), Failure> {
    let all = config::policies(&asked.policy).map_err(|faults| Failure::Other(faults.to_string()))?;
    let names = || all.keys().cloned().collect::<Vec<_>>().join(", ");
    let file = asked.policy.display();
    let policy = match &asked.policy_name {
        Some(name) => all.get(name).ok_or_else(|| format!("{file} has no policy {name}; it has {}", names())),
        None if all.len() == 1 => all.values().next().ok_or_else(String::new),
        None => all
            .get("default")
            .ok_or_else(|| format!("{file} has the policies {}; say --policy-name", names())),
    };
    let policy = policy.map_err(Failure::Other)?;
    let mut left_out: Vec<_> = policy.health.iter().map(|_| "health".to_owned()).collect();
    left_out.extend(policy.signals.iter().map(|signal| signal.name.to_string()));
    let is_told = |limit: &Limit| !matches!(limit, Limit::Differences { .. });
    left_out.extend(policy.limits.iter().filter(|limit| !is_told(limit)).map(|_| "differences".to_owned()));
    let policy = Policy { health: None, signals: Vec::new(), ..Policy::clone(policy) };
    if !policy.limits.iter().any(is_told) {
        let why = format!(
            "the policy {} sets no limit that a log can be held against; add error_rate or a latency",
            policy.name
        );
        return Err(Failure::Other(format!("{file}: {why}")));
    }
    Ok((Arc::new(policy), left_out))
}

/// What `--what-if` varies: what each variant is called, and its policy.
pub(super) fn variants(asked: &Replay, policy: &Policy) -> Result<Vec<(String, Arc<Policy>)>, Failure> {
    let mut variants = Vec::new();
    if !asked.what_if.is_empty() {
        variants.push(("as it is".to_owned(), policy.clone()));
    }
    for text in &asked.what_if {
        if text.is_empty() {
            variants.extend(ERROR_RATES.map(|share| with_error_rate(policy, share)));
            variants.extend(ALPHAS.map(|alpha| with_alpha(policy, alpha)));
            continue;
        }
        let (limit, values) = text.split_once('=').unwrap_or((text, ""));
        for value in values.split(',') {
            variants.push(match limit {
                "error_rate" => with_error_rate(policy, share(value)?),
                "alpha" => with_alpha(policy, alpha(value)?),
                other => {
                    let why = format!("--what-if varies error_rate or alpha, not {other:?}");
                    return Err(Failure::Other(why));
                }
            });
        }
    }
    Ok(variants.into_iter().map(|(name, policy)| (name, Arc::new(policy))).collect())
}

/// The critical level is exchanged; a warning that is not below it any more goes.
fn with_error_rate(policy: &Policy, share: f64) -> (String, Policy) {
    let mut next = policy.clone();
    let mut warning_before = None;
    next.limits.retain(|limit| match limit {
        Limit::ErrorRate { warning, .. } => {
            warning_before = *warning;
            false
        }
        _ => true,
    });
    let warning = warning_before.filter(|warning| *warning < share);
    next.limits.insert(0, Limit::ErrorRate { warning, critical: Some(share) });
    (format!("error_rate {}%", percent(share)), next)
}

fn with_alpha(policy: &Policy, alpha: f64) -> (String, Policy) {
    (format!("alpha {alpha}"), Policy { alpha, ..policy.clone() })
}

fn share(text: &str) -> Result<f64, Failure> {
    let number = text.trim().strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    let share = number.map(|percent| percent / 100.0).filter(|share| *share > 0.0 && *share <= 0.4);
    share.ok_or_else(|| {
        Failure::Other(format!("--what-if: {text:?} is no error rate above 0% and at most 40%; write 0.5%"))
    })
}

fn alpha(text: &str) -> Result<f64, Failure> {
    let alpha = text.trim().parse::<f64>().ok().filter(|alpha| *alpha > 0.0 && *alpha <= 0.5);
    alpha.ok_or_else(|| {
        Failure::Other(format!("--what-if: {text:?} is no alpha above 0 and at most 0.5; write 0.001"))
    })
}

fn percent(share: f64) -> String {
    let text = format!("{:.3}", share * 100.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
