//! `if` → what a route asks, or what is lost with one that cannot be asked.

use super::Import;
use super::harmless::is_harmless;
use super::patterns::translated;
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

/// What a route asks beside the path.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum RouteCondition {
    Methods(Vec<String>),
    Value { of: String, test: ConditionTest, is_not: bool },
    File { path: String, is_not: bool },
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum ConditionTest {
    /// It is neither empty nor `0`.
    Any,
    Equals(String),
    Matches(String),
}

/// A condition, and what its pattern fits where it holds.
#[derive(Clone, Debug)]
pub(super) struct LineCondition {
    /// One of these lists holds, whole.
    pub asked: Vec<Vec<RouteCondition>>,
    /// The text and the pattern.
    pub capture: Option<(String, String)>,
}

impl<'a> Import<'a> {
    /// What an `if` asks, with what the variables are at its place.
    ///
    /// # Errors
    /// Why that cannot be asked.
    pub(super) fn condition(&self, line: &'a Directive) -> Result<LineCondition, String> {
        let text = condition(line);
        if let Some((is_not, rest)) = file_test(&text) {
            return self.file_condition(&text, rest, is_not);
        }
        let name = text.strip_prefix('$').ok_or_else(|| format!("{text} is no condition"))?;
        let length = name.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        let (name, rest) = name.split_at(length);
        let (operator, operand) = split(rest);
        let fixed = || {
            let operand = self.text(operand).map_err(|name| format!("{name} is not known here"))?;
            operand.only().map(str::to_owned).ok_or_else(|| "two variables are not compared".to_owned())
        };
        match operator {
            "" => self.asked_of(name, ConditionTest::Any, false),
            "=" | "!=" => self.asked_of(name, ConditionTest::Equals(fixed()?), operator == "!="),
            "~" | "~*" | "!~" | "!~*" => {
                let found = translated(operand);
                if !found.is_exact {
                    return Err(format!("the pattern {operand} has what only PCRE knows"));
                }
                let flag = if operator.ends_with('*') { "(?i)" } else { "" };
                let pattern = format!("{flag}{}", found.pattern);
                self.asked_of(name, ConditionTest::Matches(pattern), operator.starts_with('!'))
            }
            _ => Err(format!("{text} is no condition")),
        }
    }

    fn asked_of(&self, name: &str, test: ConditionTest, is_not: bool) -> Result<LineCondition, String> {
        if let Some(decision) = self.bindings.decision(name) {
            return Ok(LineCondition { asked: decision.alternatives(&test, is_not), capture: None });
        }
        let of = self.resolved(name).ok_or_else(|| format!("${name} is not known here"))?;
        let capture = match &test {
            ConditionTest::Matches(pattern) if !is_not => Some((of.braced().to_owned(), pattern.clone())),
            _ => None,
        };
        let asked = RouteCondition::Value { of: of.shown(), test, is_not };
        Ok(LineCondition { asked: vec![vec![asked]], capture })
    }

    fn file_condition(&self, text: &str, path: &str, is_not: bool) -> Result<LineCondition, String> {
        let path = self.text(path).map_err(|name| format!("{name} is not known here"))?;
        let path = path.only().ok_or("a file that is asked for has a fixed name")?;
        let is_file = path.rsplit('/').next().is_some_and(|name| name.contains('.'));
        let test = text.trim_start_matches('!').get(..2);
        if !path.starts_with('/') || test != Some("-f") && !(test == Some("-e") && is_file) {
            return Err("only files are asked for, by -f and a whole path".to_owned());
        }
        let asked = RouteCondition::File { path: path.to_owned(), is_not };
        Ok(LineCondition { asked: vec![vec![asked]], capture: None })
    }
}

/// `-f path`: whether the contrary is asked, and the path.
fn file_test(text: &str) -> Option<(bool, &str)> {
    let (is_not, rest) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
    let rest = ["-f", "-d", "-e", "-x"].iter().find_map(|test| rest.strip_prefix(test))?;
    rest.starts_with(char::is_whitespace).then(|| (is_not, rest.trim()))
}

fn split(rest: &str) -> (&str, &str) {
    let rest = rest.trim_start();
    let (operator, operand) = rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()));
    (operator, operand.trim())
}

/// A condition on the host, as far as it is one for single names.
#[derive(Clone, Debug)]
pub(super) struct HostTest {
    name: String,
    is_not: bool,
}

impl HostTest {
    /// `None` for a condition on something else, or by a pattern.
    pub(super) fn of(line: &Directive) -> Option<Self> {
        let condition = condition(line);
        let (operator, value) = condition.strip_prefix("$host ")?.split_once(' ')?;
        if value.contains('$') || !matches!(operator, "=" | "!=") {
            return None;
        }
        Some(HostTest { name: value.to_ascii_lowercase(), is_not: operator == "!=" })
    }

    pub(super) fn holds(&self, host: &str) -> bool {
        (self.name == host) != self.is_not
    }

    /// Whether it holds for hosts that nobody has named.
    pub(super) fn holds_for_others(&self) -> bool {
        self.is_not
    }

    /// The one name it asks for.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn is_one(&self) -> bool {
        !self.is_not
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
        assert_eq!(holds("if ($host ~ ^www\\.) { return 403; }", "www.a.example"), None);
        assert_eq!(holds("if ($host = $server_name) { return 403; }", "a"), None);
        assert_eq!(holds("if ($http_host = a) { return 403; }", "a"), None);
    }
}
