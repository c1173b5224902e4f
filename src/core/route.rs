/// One route as configured, in file order.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteSpec {
    /// Lower-case host names, `*.example.org` for any name below; empty means any host.
    pub hosts: Vec<String>,
    pub path: PathSpec,
    /// The name of the service it leads to.
    pub service: String,
}

/// How a path is matched, in nginx's order of precedence.
#[derive(Clone, Debug, PartialEq)]
pub enum PathSpec {
    /// `= /x`
    Exact(String),
    /// `/x`; with `final_`, `^~ /x`: no regex is tried once this prefix is the longest.
    Prefix { prefix: String, is_final: bool },
    /// `~ re`, or `~* re` without regard to case. Already known to compile.
    Regex { pattern: String, ignore_case: bool },
}
#[derive(Debug, Default)]
pub struct Router {}
impl Router { pub fn find(&self, _host: &str, _path: &str) -> Option<usize> { Some(0) } }
