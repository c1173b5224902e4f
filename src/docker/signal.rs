//! Signals by their numbers and names: which of them end a container.

/// Those that end a process, whatever it is: INT, QUIT, KILL, TERM.
const ENDING: [u32; 4] = [2, 3, 9, 15];
/// The names that images use for their stop signals.
const NAMES: [(&str, u32); 10] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("KILL", 9),
    ("USR1", 10),
    ("USR2", 12),
    ("TERM", 15),
    ("WINCH", 28),
    ("PWR", 30),
    ("RTMIN+3", 37),
];

/// The number of a signal as Docker writes it: `15`, `SIGTERM` or `TERM`.
pub(super) fn number(text: &str) -> Option<u32> {
    let text = text.trim().to_ascii_uppercase();
    let name = text.strip_prefix("SIG").unwrap_or(&text);
    let named = NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    named.or_else(|| text.parse().ok())
}

pub(super) fn ends(signal: u32) -> bool {
    ENDING.contains(&signal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_ends_a_process_ends_it() {
        for (text, ending) in [
            ("15", true),
            ("SIGTERM", true),
            ("kill", true),
            ("3", true),
            ("1", false),
            ("SIGHUP", false),
            ("USR1", false),
            ("28", false),
        ] {
            assert_eq!(number(text).map(ends), Some(ending), "{text}");
        }
        assert_eq!([number("SIGRTMIN+3"), number("WINCH"), number("none")], [Some(37), Some(28), None]);
    }
}
