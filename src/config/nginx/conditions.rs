//! `if` → what is lost with one that cannot be asked.

use super::harmless::is_harmless;
use super::tree::Directive;

/// What a condition would have kept from a request, in the order of how bad its loss is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Loss {
    /// Settings, which are reported.
    Nothing,
    /// Another answer: the place answers otherwise than nginx.
    Answer,
    /// A refusal.
    Refusal,
}

/// What is lost with an `if` in a place that serves files, or something else.
pub(super) fn loss(line: &Directive, serves_files: bool) -> Loss {
    let condition = condition(line);
    let is_about_files =
        ["-f", "-d", "-e", "-x"].iter().any(|test| condition.trim_start_matches('!').starts_with(test));
    // Where files are served, nothing answers for one that is not there: 404 with us.
    let is_absent = serves_files
        && is_about_files
        && condition.starts_with('!')
        && condition.contains("$request_filename");
    let each = |inner: &Directive| match inner.name.as_str() {
        "return" => answer(inner, &condition, is_about_files),
        "rewrite" | "break" => Loss::Answer,
        "if" => loss(inner, serves_files),
        "root" | "alias" | "index" | "try_files" | "internal" => Loss::Answer,
        name if name.ends_with("_pass") || name.starts_with("content_by_lua") || name == "js_content" => {
            Loss::Answer
        }
        name if is_harmless(name) => Loss::Nothing,
        _ => Loss::Refusal,
    };
    let found = line.block().iter().map(each).max().unwrap_or(Loss::Nothing);
    if is_absent && found == Loss::Answer { Loss::Nothing } else { found }
}

fn answer(line: &Directive, condition: &str, is_about_files: bool) -> Loss {
    let is_preflight = condition == "$request_method = OPTIONS";
    match line.arg(0).parse::<u16>() {
        // A page that is switched on by a file; Pointsman has `pointsman maintenance`.
        Ok(500..) if is_about_files => Loss::Nothing,
        Ok(400..) => Loss::Refusal,
        Ok(200..=299) if is_preflight => Loss::Nothing,
        _ => Loss::Answer,
    }
}

/// What is asked, without its parentheses.
pub(super) fn condition(line: &Directive) -> String {
    let whole = line.args.join(" ");
    let inner = whole.strip_prefix('(').unwrap_or(&whole).trim_end();
    inner.strip_suffix(')').unwrap_or(inner).trim().to_owned()
}

/// A condition on the host, taken apart.
#[derive(Clone, Debug)]
pub(super) enum HostTest {
    Is(String),
    Fits(regex::Regex),
    Not(Box<HostTest>),
}

impl HostTest {
    /// `None` for a condition on something else, or one that Rust's patterns cannot say.
    pub(super) fn of(line: &Directive) -> Option<Self> {
        let condition = condition(line);
        let (operator, value) = condition.strip_prefix("$host ")?.split_once(' ')?;
        let fits = |ignore_case| {
            let found = super::patterns::translated(value);
            let built = regex::RegexBuilder::new(&found.pattern).case_insensitive(ignore_case).build();
            built.ok().filter(|_| found.is_exact).map(HostTest::Fits)
        };
        if value.contains('$') && matches!(operator, "=" | "!=") {
            return None;
        }
        let is = || HostTest::Is(value.to_ascii_lowercase());
        Some(match operator {
            "=" => is(),
            "!=" => HostTest::Not(Box::new(is())),
            "~" => fits(false)?,
            "~*" => fits(true)?,
            "!~" => HostTest::Not(Box::new(fits(false)?)),
            "!~*" => HostTest::Not(Box::new(fits(true)?)),
            _ => return None,
        })
    }

    pub(super) fn holds(&self, host: &str) -> bool {
        match self {
            HostTest::Is(name) => name == host,
            HostTest::Fits(pattern) => pattern.is_match(host),
            HostTest::Not(test) => !test.holds(host),
        }
    }

    /// Whether it holds for hosts that nobody has named; `None` where that depends.
    pub(super) fn holds_for_others(&self) -> Option<bool> {
        match self {
            HostTest::Is(_) => Some(false),
            HostTest::Fits(_) => None,
            HostTest::Not(test) => test.holds_for_others().map(|holds| !holds),
        }
    }

    /// The one name it asks for.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            HostTest::Is(name) => Some(name),
            HostTest::Fits(_) => None,
            HostTest::Not(test) => test.name(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::*;

    fn line(text: &str) -> Directive {
        parse(text, "f").expect("it parses").remove(0)
    }

    #[test]
    fn what_is_lost_with_a_condition() {
        for (text, files, expected) in [
            ("if ($bad) { return 403; }", false, Loss::Refusal),
            ("if ($bad) { return 444; }", false, Loss::Refusal),
            ("if ($bad) { return 500; }", false, Loss::Refusal),
            ("if ($bad) { return 302 /login; }", false, Loss::Answer),
            ("if ($bad) { return 200 no; }", false, Loss::Answer),
            ("if ($bad) { rewrite ^ /no last; }", false, Loss::Answer),
            ("if ($bad) { set $a 1; add_header X y; }", false, Loss::Nothing),
            ("if ($bad) { frobnicate; }", false, Loss::Refusal),
            ("if ($request_method = 'OPTIONS') { return 204; }", false, Loss::Nothing),
            ("if ($request_method = OPTIONS) { return 403; }", false, Loss::Refusal),
            ("if (-f $document_root/down.html) { return 503; }", false, Loss::Nothing),
            ("if (!-f $request_filename) { proxy_pass http://a; break; }", true, Loss::Nothing),
            ("if (!-f $request_filename) { proxy_pass http://a; break; }", false, Loss::Answer),
            ("if (-f $request_filename) { rewrite ^ /no; }", true, Loss::Answer),
        ] {
            assert_eq!(loss(&line(text), files), expected, "{text}");
        }
    }

    #[test]
    fn conditions_on_the_host_are_asked_of_names() {
        let holds = |text: &str, host: &str| HostTest::of(&line(text)).map(|test| test.holds(host));
        assert_eq!(holds("if ($host = A.example) { return 403; }", "a.example"), Some(true));
        assert_eq!(holds("if ($host != 'a.example') { return 403; }", "a.example"), Some(false));
        assert_eq!(holds("if ($host !~* ^(a|b)\\.example$ ) { return 403; }", "c.example"), Some(true));
        assert_eq!(holds("if ($host ~ ^www\\.) { return 403; }", "www.a.example"), Some(true));
        assert_eq!(holds("if ($host = $server_name) { return 403; }", "a"), None);
        assert_eq!(holds("if ($http_host = a) { return 403; }", "a"), None);
    }
}
