//! What a route is called where it is counted: as short as it can be told by, and the same wherever the route stands
//! in the file.

use super::{PathSpec, RouteSpec};

impl RouteSpec {
    /// Its first host and its path, as the configuration has them: `example.org/api/`, `/`, `example.org = /x`,
    /// `~ ^/v[0-9]/`. Routes that only differ in their listeners share it.
    pub fn label(&self) -> String {
        let path = match &self.path {
            PathSpec::Exact(path) => format!("= {path}"),
            PathSpec::Prefix { prefix, is_final: false } => prefix.clone(),
            PathSpec::Prefix { prefix, is_final: true } => format!("^~ {prefix}"),
            PathSpec::Regex { pattern, ignore_case: false } => format!("~ {pattern}"),
            PathSpec::Regex { pattern, ignore_case: true } => format!("~* {pattern}"),
            PathSpec::Named(name) => format!("@{name}"),
        };
        match self.hosts.first() {
            Some(host) if path.starts_with('/') => format!("{host}{path}"),
            Some(host) => format!("{host} {path}"),
            None => path,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Target;
    use super::*;

    #[test]
    fn a_route_is_called_by_its_first_host_and_its_path() {
        let label = |hosts: &[&str], path: PathSpec| {
            let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
            RouteSpec { hosts, ..RouteSpec::new(path, Target::Deny) }.label()
        };
        let prefix = |prefix: &str| PathSpec::Prefix { prefix: prefix.into(), is_final: false };
        assert_eq!(label(&[], prefix("/")), "/");
        assert_eq!(label(&["a.example", "b.example"], prefix("/api/")), "a.example/api/");
        assert_eq!(label(&["*.example"], PathSpec::Exact("/x".into())), "*.example = /x");
        assert_eq!(label(&[], PathSpec::Named("app".into())), "@app");
        let regex = PathSpec::Regex { pattern: "^/v[0-9]/".into(), ignore_case: true };
        assert_eq!(label(&[], regex), "~* ^/v[0-9]/");
    }
}
