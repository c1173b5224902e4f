//! What must hold of any locator and any answer.

use super::Locator;

/// A locator on the first line, the answer behind it.
pub fn metrics_find(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (at, body) = text.split_once('\n').unwrap_or((&text, ""));
    let locator = match Locator::parse(at) {
        Ok(locator) => locator,
        Err(why) => return assert!(!why.is_empty()),
    };
    let shown = locator.to_string();
    assert_eq!(Locator::parse(&shown).as_ref(), Ok(&locator), "what is shown is read as the same");
    match locator.find(body) {
        Ok(value) => assert!(value.is_finite(), "{value}"),
        Err(why) => assert!(!why.is_empty()),
    }
    if matches!(locator, Locator::Sample { .. }) {
        let alone = locator.find(&format!("# {shown} 1\n{shown} 42.5 1700000000\n"));
        assert_eq!(alone, Ok(42.5), "what is shown is found: {shown}");
    }
}
