//! What is asked of a front: lines in its configuration, of which each stands for many requests.
//!
//! ```text
//! #? [(KNOWN DIFFERENCE)] [@LISTENER] METHOD,… HOST,… TARGET …[; Name: value]…[; body=BYTES]
//! #+ Name: value[; Name: value]…      the line before once more, with these fields
//! #~ [@LISTENER] HOST,… TARGET …      every method, and what browsers and crawlers send
//! #! FEATURE                          it lacks this yet: what differs is counted, not refused
//! ```

/// What is asked of a configuration.
#[derive(Debug, Default)]
pub(super) struct Questions {
    /// As [`super::site::Site::ask`] takes them, each after the name of the difference that is expected.
    pub asked: Vec<(Option<String>, String)>,
    /// What the import cannot carry over yet.
    pub pending: Vec<String>,
}

/// Methods with the sizes of their bodies.
const METHODS: [(&str, &str); 7] = [
    ("GET", ""),
    ("HEAD", ""),
    ("POST", "; body=20"),
    ("PUT", "; body=5"),
    ("PATCH", "; body=5"),
    ("DELETE", ""),
    ("OPTIONS", ""),
];

/// What clients bring along.
const CLIENTS: [&str; 7] = [
    "Accept-Encoding: gzip, br; User-Agent: Mozilla/5.0 (X11) Firefox/140.0; Accept: text/html,*/*;q=0.8",
    "User-Agent: Mozilla/5.0 (iPhone) Mobile/15E148; Accept-Language: de-DE,de;q=0.9",
    "Cookie: session=abc",
    "X-Forwarded-For: 203.0.113.9; X-Forwarded-Proto: https; X-Forwarded-Host: evil.example; X-Real-IP: 203.0.113.9",
    "Origin: https://evil.example; Referer: https://evil.example/page",
    "User-Agent: curl/8.9; Accept: application/json; Authorization: Bearer abc",
    "Range: bytes=0-1",
];

impl Questions {
    pub(super) fn of(text: &str) -> Self {
        let mut questions = Questions::default();
        let mut last = "";
        for line in text.lines().map(str::trim) {
            let Some((kind, rest)) = line.split_once(' ') else { continue };
            match kind {
                "#?" => {
                    last = rest;
                    questions.product(rest, "");
                }
                "#+" => questions.product(last, &format!("; {rest}")),
                "#~" => questions.sweep(rest),
                "#!" => questions.pending.push(rest.to_owned()),
                _ => {}
            }
        }
        questions
    }

    /// Every method with every host with every target.
    fn product(&mut self, line: &str, more: &str) {
        let (mark, line) = marked(line);
        let (listener, line) = listener(line);
        let (head, fields) =
            line.split_once("; ").map_or((line, String::new()), |(head, rest)| (head, format!("; {rest}")));
        let mut words = head.split_whitespace();
        let (methods, hosts) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        for target in words {
            for host in hosts.split(',') {
                for method in methods.split(',') {
                    let request = format!("{listener}{method} {host} {target}{fields}{more}");
                    self.asked.push((mark.clone(), request));
                }
            }
        }
    }

    fn sweep(&mut self, line: &str) {
        let (listener, line) = listener(line);
        let (hosts, targets) = line.split_once(' ').unwrap_or((line, "/"));
        for target in targets.split_whitespace() {
            for host in hosts.split(',') {
                let each =
                    METHODS.iter().map(|(method, body)| format!("{listener}{method} {host} {target}{body}"));
                let clients = CLIENTS.iter().map(|fields| format!("{listener}GET {host} {target}; {fields}"));
                self.asked.extend(each.chain(clients).map(|request| (None, request)));
            }
        }
    }

    /// Without their ports.
    pub(super) fn hosts(&self) -> Vec<&str> {
        let host = |request: &'_ str| -> Option<usize> { request.find(' ').map(|at| at + 1) };
        let mut hosts: Vec<&str> = self
            .asked
            .iter()
            .filter_map(|(_, request)| {
                let line = request
                    .strip_prefix('@')
                    .and_then(|rest| rest.split_once(' '))
                    .map_or(request.as_str(), |(_, line)| line);
                line.get(host(line)?..)?.split([' ', ':']).next()
            })
            .collect();
        hosts.sort_unstable();
        hosts.dedup();
        hosts
    }
}

/// A line, and the name of the difference that is expected of it.
pub(super) fn marked(text: &str) -> (Option<String>, &str) {
    match text.strip_prefix('(').and_then(|rest| rest.split_once(") ")) {
        Some((mark, rest)) => (Some(mark.to_owned()), rest),
        None => (None, text),
    }
}

fn listener(line: &str) -> (String, &str) {
    match line.strip_prefix('@').and_then(|rest| rest.split_once(' ')) {
        Some((name, rest)) => (format!("@{name} "), rest),
        None => (String::new(), line),
    }
}
