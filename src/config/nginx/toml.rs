//! Values of TOML, as the configuration's reader takes them: it fills in `${NAME}` and makes `$$` a dollar
//! sign.

pub(super) fn table(keys: &[String]) -> String {
    if keys.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", keys.join(", ")) }
}

pub(super) fn list(values: &[String]) -> String {
    format!("[{}]", values.iter().map(|value| fixed(value)).collect::<Vec<_>>().join(", "))
}

/// A text that means itself: a dollar sign that would begin a variable is doubled.
pub(super) fn fixed(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(next) = chars.next() {
        out.push(next);
        if next == '$' && matches!(chars.peek(), Some('$' | '{')) {
            out.push('$');
        }
    }
    quoted(&out)
}

/// A text with variables of the request, `$$` being a dollar sign.
pub(super) fn template(text: &str) -> String {
    quoted(text)
}

/// A TOML string, literal where that reads better.
pub(super) fn quoted(text: &str) -> String {
    let plain = !text.contains('\'') && !text.contains(char::is_control);
    if text.contains(['\\', '"']) && plain {
        return format!("'{text}'");
    }
    let mut out = String::from("\"");
    for next in text.chars() {
        match next {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            control if control.is_control() => out.push_str(&format!("\\u{:04X}", control as u32)),
            other => out.push(other),
        }
    }
    out + "\""
}
