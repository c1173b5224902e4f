//! The store that the instances of a fleet share: etcd.

use super::UpstreamTls;
use crate::core::upstream_address::UpstreamAddress;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Where etcd is, and who asks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdSettings {
    /// At least one; best all members of the cluster.
    pub endpoints: Vec<EtcdEndpoint>,
    /// How members with `https://` are greeted.
    pub tls: UpstreamTls,
    /// The file of the authorities in `tls`, as typed: error messages name it.
    pub authority: Option<Arc<str>>,
    /// `None`: etcd asks for nobody, or goes by the common name of the certificate in `tls`.
    pub user: Option<EtcdUser>,
}

/// A user of etcd that has a password.
#[derive(Clone, PartialEq, Eq)]
pub struct EtcdUser {
    pub name: Arc<str>,
    pub password: Arc<str>,
}

/// Where one member of etcd is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdEndpoint {
    pub is_tls: bool,
    /// Host and port: `10.0.0.1:2379`, `[::1]:2379`, `etcd-1.internal:2379`.
    pub authority: Arc<str>,
}

impl EtcdEndpoint {
    /// The name or address to connect to, without brackets.
    pub fn host(&self) -> &str {
        UpstreamAddress::host_of(&self.authority)
    }

    pub fn port(&self) -> u16 {
        self.authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or_default()
    }
}

impl FromStr for EtcdEndpoint {
    type Err = String;

    /// # Errors
    /// A sentence that says how to write it.
    fn from_str(text: &str) -> Result<Self, String> {
        let fault = |why: &str| format!("{text:?} {why}; write https://10.0.0.1:2379");
        let (is_tls, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            Some(_) => return Err(fault("is neither http:// nor https://")),
            None => return Err(fault("lacks http:// or https://")),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let parsed: http::uri::Authority = authority.parse().map_err(|_| fault("is no address"))?;
        if authority.contains('@') {
            return Err(fault("names a user: that is for user and password"));
        }
        match parsed.port_u16() {
            Some(1..) if !parsed.host().is_empty() => {
                Ok(EtcdEndpoint { is_tls, authority: authority.into() })
            }
            _ => Err(fault("lacks the host or the port")),
        }
    }
}

impl fmt::Display for EtcdEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.is_tls { "https" } else { "http" }, self.authority)
    }
}

impl fmt::Debug for EtcdUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EtcdUser({})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_urls_without_a_path() {
        for (text, host, port, is_tls) in [
            ("http://127.0.0.1:2379", "127.0.0.1", 2379, false),
            ("https://etcd-1.internal:2380/", "etcd-1.internal", 2380, true),
            ("https://[::1]:1", "::1", 1, true),
        ] {
            let endpoint: EtcdEndpoint = text.parse().expect("an endpoint");
            assert_eq!((endpoint.host(), endpoint.port(), endpoint.is_tls), (host, port, is_tls));
            assert_eq!(endpoint.to_string(), text.trim_end_matches('/'));
        }
        for text in [
            "127.0.0.1:2379",
            "grpc://a:1",
            "http://a",
            "http://a:0",
            "http://a:99999",
            "http://",
            "http://:2379",
            "http://a:1/b",
            "http://root:pw@a:1",
            "http://a b:1",
        ] {
            assert!(text.parse::<EtcdEndpoint>().is_err_and(|why| why.contains("write https://")), "{text}");
        }
    }

    #[test]
    fn a_password_is_shown_nowhere() {
        let user = EtcdUser { name: "edge".into(), password: "hidden".into() };
        assert!(!format!("{user:?}").contains("hidden"));
    }
}
