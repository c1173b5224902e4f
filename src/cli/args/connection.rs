//! Where the admin API is, who asks, and how answers are printed.

use clap::ValueEnum;
use std::path::PathBuf;

/// How client commands reach the admin API.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Admin API")]
pub struct Connection {
    /// Where the admin API listens; without, as this machine's configuration says ($POINTSMAN_CONFIG, or
    /// /etc/pointsman/pointsman.toml), or http://127.0.0.1:9900.
    #[arg(long, env = "POINTSMAN_ADMIN", value_name = "URL")]
    pub admin: Option<String>,
    /// The bearer token; better in the environment than in the shell's history.
    #[arg(long, env = "POINTSMAN_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// The authority of the admin API's certificate (PEM), where the system does not know it.
    #[arg(long, env = "POINTSMAN_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// A certificate to show to the admin API (PEM), with its key.
    #[arg(long, env = "POINTSMAN_CERT", value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// The key of --cert (PEM).
    #[arg(long, env = "POINTSMAN_KEY", value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
}

impl Connection {
    /// Takes over what was typed later, by the ids of the flags.
    pub(in crate::cli) fn replace(&mut self, later: Connection, is_typed: impl Fn(&str) -> bool) {
        let Connection { admin, token, ca, cert, key } = later;
        fn take<T>(is_typed: bool, place: &mut T, value: T) {
            if is_typed {
                *place = value;
            }
        }
        take(is_typed("admin"), &mut self.admin, admin);
        take(is_typed("token"), &mut self.token, token);
        take(is_typed("ca"), &mut self.ca, ca);
        take(is_typed("cert"), &mut self.cert, cert);
        take(is_typed("key"), &mut self.key, key);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
}
