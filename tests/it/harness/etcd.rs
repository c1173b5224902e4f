//! Real members of etcd, as processes of their own.

use super::tls::Authority;
use super::{PATIENCE, eventually};
use serde_json::Value;
use socket2::{Domain, Socket, Type};
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use tempfile::TempDir;

/// A cluster whose members can be stopped, killed and emptied one by one; killed when dropped.
pub struct EtcdCluster {
    pub members: Vec<EtcdProcess>,
    dir: TempDir,
    tls: Option<[PathBuf; 3]>,
    more: Vec<String>,
}

pub struct EtcdProcess {
    pub client: SocketAddr,
    peer: SocketAddr,
    name: String,
    child: Option<Child>,
    /// Keep its ports for it while it is down.
    _ports: [Socket; 2],
}

impl EtcdCluster {
    /// So many members, in the clear.
    #[track_caller]
    pub fn start(count: usize) -> Self {
        EtcdCluster::start_with(count, None, &[])
    }

    /// With more arguments; with TLS where there is an authority, whose certificates clients must show, too.
    #[track_caller]
    pub fn start_with(count: usize, authority: Option<&Authority>, more: &[&str]) -> Self {
        // Of a tmpfs where there is one: each write is synced.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory");
        let tls = authority.map(|authority| {
            authority.write("etcd", &["localhost", "127.0.0.1"]);
            [authority.path("etcd.pem"), authority.path("etcd.key"), authority.path("ca.pem")]
        });
        let more = more.iter().map(|text| (*text).to_owned()).collect();
        let mut cluster = EtcdCluster { members: Vec::new(), dir, tls, more };
        // A port that others took between two bindings: then once more with others.
        for _ in 0..2 {
            cluster.members = (0..count).map(EtcdProcess::named).collect();
            (0..count).for_each(|number| cluster.launch(number));
            if cluster.is_up() {
                return cluster;
            }
            cluster.members.clear();
            (0..count).for_each(|number| drop(std::fs::remove_dir_all(cluster.data(number))));
        }
        panic!("etcd does not start: {}", cluster.log(0));
    }

    /// The addresses of all members, as endpoints.
    pub fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(|member| self.endpoint(member.client)).collect()
    }

    /// An address that leads to a member, as an endpoint.
    pub fn endpoint(&self, address: SocketAddr) -> String {
        format!("{}://{address}", if self.tls.is_some() { "https" } else { "http" })
    }

    /// Which member has this endpoint.
    #[track_caller]
    pub fn number_of(&self, endpoint: &str) -> usize {
        let is_it = |member: &EtcdProcess| endpoint.ends_with(&member.client.to_string());
        self.members.iter().position(is_it).expect("a member")
    }

    /// `kill -9`.
    pub fn kill(&mut self, number: usize) {
        self.members[number].kill();
    }

    /// Starts a member that was killed.
    #[track_caller]
    pub fn restart(&mut self, number: usize) {
        self.launch(number);
        let address = self.members[number].client;
        eventually("etcd listens", || TcpStream::connect(address).is_ok());
    }

    /// Kills a member and takes its data away.
    pub fn wipe(&mut self, number: usize) {
        self.kill(number);
        std::fs::remove_dir_all(self.data(number)).expect("its data");
    }

    /// SIGSTOP: it holds its sockets, and says nothing.
    pub fn stop(&self, number: usize) {
        self.members[number].signal("-STOP");
    }

    pub fn go_on(&self, number: usize) {
        self.members[number].signal("-CONT");
    }

    /// Asks the first member by its JSON gateway, as an operator does by etcdctl.
    #[track_caller]
    pub fn gateway(&self, path: &str, body: &Value) -> Value {
        let answer = self.asked(path, body);
        assert!(answer.get("error").is_none(), "{path}: {answer}");
        answer
    }

    /// The same, refused or not.
    #[track_caller]
    pub fn asked(&self, path: &str, body: &Value) -> Value {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--max-time", "10", "-d", &body.to_string()]);
        if let Some([cert, key, ca]) = &self.tls {
            curl.arg("--cert").arg(cert).arg("--key").arg(key).arg("--cacert").arg(ca);
        }
        let output = curl.arg(format!("{}{path}", self.endpoint(self.members[0].client))).output();
        let output = output.expect("curl is installed: make setup-test");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!("{path}: {error}: {}", String::from_utf8_lossy(&output.stdout));
        })
    }

    fn log(&self, number: usize) -> String {
        std::fs::read_to_string(self.dir.path().join(format!("{number}.log"))).unwrap_or_default()
    }

    fn data(&self, number: usize) -> PathBuf {
        self.dir.path().join(format!("{number}"))
    }

    fn launch(&mut self, number: usize) {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let named = |member: &EtcdProcess| format!("{}=http://{}", member.name, member.peer);
        let all = self.members.iter().map(named).collect::<Vec<_>>().join(",");
        let member = &self.members[number];
        let (client, peer) = (format!("{scheme}://{}", member.client), format!("http://{}", member.peer));
        let log = self.dir.path().join(format!("{number}.log"));
        let log = File::options().create(true).append(true).open(log).expect("a file");
        let mut command = Command::new("etcd");
        command.arg("--name").arg(&member.name).arg("--data-dir").arg(self.data(number));
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &all, "--initial-cluster-state", "new", "--logger", "zap"]);
        if let Some([cert, key, ca]) = &self.tls {
            command.arg("--cert-file").arg(cert).arg("--key-file").arg(key);
            command.arg("--trusted-ca-file").arg(ca).arg("--client-cert-auth");
        }
        let child = command.args(&self.more).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        self.members[number].child = Some(child.expect("etcd is installed: make setup-test"));
    }

    /// Waits until all members listen and one leads; whether they do.
    fn is_up(&mut self) -> bool {
        let since = Instant::now();
        let is_led = |log: &str| log.contains("serving client traffic");
        while !(0..self.members.len()).all(|number| is_led(&self.log(number))) {
            let is_gone = |member: &mut EtcdProcess| {
                member.child.as_mut().is_none_or(|child| child.try_wait().is_ok_and(|ended| ended.is_some()))
            };
            if self.members.iter_mut().any(is_gone) || since.elapsed() > PATIENCE {
                return false;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        true
    }
}

impl EtcdProcess {
    fn named(number: usize) -> Self {
        let ports = [port(), port()];
        let [client, peer] = ports
            .each_ref()
            .map(|port| port.local_addr().ok().and_then(|address| address.as_socket()).expect("an address"));
        EtcdProcess { client, peer, name: format!("etcd-{number}"), child: None, _ports: ports }
    }

    fn signal(&self, signal: &str) {
        let child = self.child.as_ref().expect("a process");
        let sent = Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "{signal}");
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for EtcdProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that is bound and not listened on: etcd may bind it, too, and nobody else is given it. Without, another test's
/// server may have it by the time that a member of etcd is started again.
fn port() -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_reuse_address(true).expect("an option");
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a port");
    socket
}
