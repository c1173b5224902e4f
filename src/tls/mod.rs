//! Certificates: read from files, chosen by the name a client asks for, exchanged while they are served.
//!
//! Listeners and the admin API speak TLS in the same way, so it is here and in neither of them. A
//! handshake reads one immutable index and parses nothing: names are looked up in a map made when the
//! files were read. Files are renewed in place by others (certbot, a cron job), so they are looked at
//! every few seconds, by their metadata; what cannot be used is reported once and the old certificate stays.
//! OCSP responses come from files, too: fetching them is for the job that renews the certificates.
//! A certificate that is ordered by ourselves ([`acme`]) goes the same way, through a file. The client's side,
//! towards upstreams, is [`client_config`].

pub mod acme;
mod challenges;
mod index;
mod load;
mod server;
mod store;
mod upstream;

pub use challenges::Challenges;
pub use load::{TlsError, common_name};
pub use server::server_config;
pub use store::{CertificateFacts, Certificates};
pub use upstream::client_config;
