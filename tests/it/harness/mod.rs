//! What every test uses: origins, the product as a process, clients and loads.

mod acme;
mod browser;
mod docker;
mod dockerd;
mod draw;
mod etcd;
mod http;
mod load;
mod nginx;
mod origin;
mod process;
mod relay;
mod tls;
mod tls_origin;
mod unix_door;

pub use acme::Acme;
pub use browser::Browser;
#[allow(unused_imports, reason = "the soak has no containers")]
pub use docker::Docker;
#[allow(unused_imports, reason = "the soak has no containers")]
pub use dockerd::Dockerd;
#[allow(unused_imports, reason = "the benchmarks draw nothing")]
pub use draw::Draw;
#[allow(unused_imports, reason = "the benchmarks have no fleet")]
pub use etcd::EtcdCluster;
pub use http::{Answer, Connection, get, send};
pub use load::{Load, Wrk, wrk, wrk_by};
#[allow(unused_imports, reason = "only the soak asks for it")]
pub use nginx::{LARGE, Nginx};
pub use origin::{Origin, Reaction, Received, answer};
pub use process::{Pointsman, Printed, run, whole};
#[allow(unused_imports, reason = "the benchmarks have no fleet")]
pub use relay::{Network, Relay};
pub use tls::{Authority, TlsClient};
pub use tls_origin::TlsOrigin;
pub use unix_door::UnixDoor;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Longest wait for anything that will surely happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until something is so.
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < PATIENCE, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The service `web` with a stable pool `blue` and a pool `green`, of one upstream each.
pub fn blue_green(blue: SocketAddr, green: SocketAddr) -> String {
    format!(
        "[services.web]\nstable = \"blue\"\n\
         [services.web.pools.blue]\nupstreams = [\"{blue}\"]\n\
         [services.web.pools.green]\nupstreams = [\"{green}\"]\n"
    )
}

/// A listener behind a proxy that names nobody. Slow answers need not come from three clients then: all
/// clients of a test have one address.
pub const NAMELESS: &str = "[[listeners]]\naddress = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.1\"]\n\
                            limits = { requests_per_connection = 1000000 }\n";

/// The middle of the values.
pub fn median<T: Copy + PartialOrd>(values: &[T]) -> T {
    let mut sorted = values.to_vec();
    sorted.sort_by(|one, other| one.partial_cmp(other).expect("comparable"));
    sorted[sorted.len() / 2]
}
