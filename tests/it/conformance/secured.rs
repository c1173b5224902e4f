//! nginx as an origin behind TLS: it answers which name it was asked for, and whether the client has shown
//! a certificate of its authority.

use crate::harness::{Authority, Nginx};
use std::net::TcpListener;

pub(super) struct Secured {
    nginx: Nginx,
    authority: Authority,
}

impl Secured {
    pub(super) fn start() -> Self {
        let authority = Authority::new();
        authority.write("app", &["app.internal"]);
        authority.write("us", &["us.internal"]);
        let keys = authority.dir.path().display();
        let port = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = port.local_addr().expect("an address");
        drop(port);
        let conf = format!(
            "events {{}}\nhttp {{ access_log off; default_type text/plain;\n\
             server {{ listen {address} ssl; ssl_certificate {keys}/app.pem; ssl_certificate_key {keys}/app.key;\n\
             ssl_client_certificate {keys}/ca.pem; ssl_verify_client optional;\n\
             location / {{ return 200 \"$ssl_server_name $ssl_client_verify $host $request_uri\"; }} }} }}\n"
        );
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("nginx.conf"), conf).expect("a file");
        Secured { nginx: Nginx::serve(dir, vec![address]), authority }
    }

    /// What its marks in a configuration stand for.
    pub(super) fn marks(&self) -> [(&'static str, String); 2] {
        [
            ("TLS", self.nginx.addresses[0].to_string()),
            ("KEYS", self.authority.dir.path().display().to_string()),
        ]
    }
}
