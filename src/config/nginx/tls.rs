//! `ssl_*` of the servers on an address → `tls` of its listener.

use super::Import;
use super::conditions::Loss;
use super::ledger::DENIED;
use super::scope::Scope;
use super::servers::Server;
use super::site::{Listener, Tls};
use super::tree::Directive;

impl<'a> Import<'a> {
    /// `servers` are those on the address, the default one first.
    pub(super) fn tls(&self, servers: &[&Server<'a>], http2: bool) -> Option<Tls> {
        let mut tls = Tls { http2, ..Tls::default() };
        for server in servers {
            self.certificates(&server.scope, &mut tls);
        }
        let first = servers.first()?;
        if tls.certificates.is_empty() {
            for listen in first.listens.iter().filter(|listen| listen.tls) {
                if let Some(line) = listen.directive {
                    self.ledger.missing(line, "it has no certificate, so it is left out; add ssl_certificate and ssl_certificate_key");
                }
            }
            return None;
        }
        for server in servers {
            self.versions(&server.scope, &mut tls);
            self.client_certificates(&server.scope);
        }
        tls.client_ca = self.client_ca(servers);
        if let Some(tickets) = first.scope.last("ssl_session_tickets") {
            self.ledger.carried(tickets);
            tls.session_tickets = tickets.is_on();
        }
        Some(tls)
    }

    fn certificates(&self, scope: &Scope<'a>, tls: &mut Tls) {
        let (certs, keys) = (scope.all("ssl_certificate"), scope.all("ssl_certificate_key"));
        for (cert, key) in certs.iter().zip(&keys) {
            if cert.arg(0).contains('$') || key.arg(0).contains('$') || cert.arg(0).starts_with("data:") {
                self.ledger.missing(cert, "certificates are files; list them");
                continue;
            }
            self.ledger.carried(cert);
            self.ledger.carried(key);
            tls.from.get_or_insert(cert.place.clone());
            let pair = (cert.arg(0).to_owned(), key.arg(0).to_owned());
            if !tls.certificates.iter().any(|(cert, key, _)| (cert, key) == (&pair.0, &pair.1)) {
                let ocsp = scope.last("ssl_stapling_file").inspect(|line| self.ledger.carried(line));
                tls.certificates.push((pair.0, pair.1, ocsp.map(|line| line.arg(0).to_owned())));
            }
        }
        if let Some(line) = scope.last("ssl_stapling").filter(|line| line.is_on()) {
            match scope.last("ssl_stapling_file") {
                Some(_) => self.ledger.carried(line),
                None => self.ledger.missing(line, "an OCSP answer is stapled from a file, ocsp beside the certificate; Pointsman does not fetch it"),
            }
        }
        let odd = certs.len().max(keys.len()) - certs.len().min(keys.len());
        for line in certs.iter().chain(&keys).rev().take(odd) {
            self.ledger.missing(line, "a certificate needs its key, and a key its certificate");
        }
    }

    fn versions(&self, scope: &Scope<'a>, tls: &mut Tls) {
        let Some(line) = scope.last("ssl_protocols") else { return };
        let has = |version: &str| line.args.iter().any(|arg| arg == version);
        match (has("TLSv1.2"), has("TLSv1.3")) {
            (false, true) => {
                self.ledger.carried(line);
                // The lowest of all servers on the address.
                tls.min_version.get_or_insert("1.3");
            }
            (true, true) if line.args.len() == 2 => {
                self.ledger.carried(line);
                tls.min_version = Some("1.2");
            }
            (true, _) | (false, false) => {
                tls.min_version = Some("1.2");
                let why = if has("TLSv1.3") {
                    "TLS 1.2 and 1.3; older versions are broken"
                } else {
                    "TLS 1.3, too"
                };
                self.ledger.noted(line, why);
            }
        }
    }

    /// What every server on an address asks of clients; `None` where one does not, or asks something else.
    fn client_ca(&self, servers: &[&Server<'a>]) -> Option<String> {
        let wanted = |server: &&Server<'a>| {
            let scope = &server.scope;
            let is_on = scope.last("ssl_verify_client").is_some_and(Directive::is_on);
            let checks_more = scope.last("ssl_crl").is_some()
                || scope.last("ssl_ocsp").is_some_and(|line| line.arg(0) != "off");
            let authority = scope.last("ssl_client_certificate").filter(|_| is_on && !checks_more)?;
            Some(authority.arg(0).to_owned()).filter(|authority| !authority.contains('$'))
        };
        let first = servers.first().and_then(wanted)?;
        servers.iter().all(|server| wanted(server).as_ref() == Some(&first)).then_some(first)
    }

    fn client_certificates(&self, scope: &Scope<'a>) {
        let Some(verify) = scope.last("ssl_verify_client").filter(|line| line.arg(0) != "off") else {
            return;
        };
        if !verify.is_on() {
            self.ledger.missing(
                verify,
                "certificates of clients are required of all that come to a listener (client_ca), or not asked for",
            );
        }
    }

    /// Whether a server asks clients for certificates that its listeners do not ask for. nginx looks before
    /// it does anything else.
    pub(super) fn client_certificates_lost(&self, server: &Server<'a>) -> Option<Loss> {
        let verify = server.scope.last("ssl_verify_client").filter(|line| line.is_on())?;
        let authority = server.scope.last("ssl_client_certificate");
        let asks = |listener: &&Listener| {
            let tls = listener.tls.as_ref();
            tls.is_none_or(|tls| {
                tls.client_ca.is_some() && tls.client_ca.as_deref() == authority.map(|line| line.arg(0))
            })
        };
        let here = self
            .site
            .listeners
            .iter()
            .filter(|l| server.listens.iter().any(|listen| listen.address == l.address));
        if here.clone().all(|listener| asks(&listener)) {
            self.ledger.carried(verify);
            authority.iter().for_each(|line| self.ledger.carried(line));
            return None;
        }
        let why = "certificates of clients are asked for by listener, and the servers on this one do not all ask for the same, so the routes of this server are denied; give it a listener of its own with client_ca, then open them";
        self.ledger.mark(verify, DENIED, why);
        Some(Loss::Refusal)
    }
}
