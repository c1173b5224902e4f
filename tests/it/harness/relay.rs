//! A network in between that can fail: cut, silent, slow, or deaf in one direction.
//!
//! Bytes that are held are not lost: they go on once it is whole again, as TCP has it when cables are put back.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// How a network is at present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    #[default]
    Whole,
    /// Connections are ended, and others are ended at once.
    Cut,
    /// Connections are accepted, and nothing goes through.
    Silent,
    /// What the client sends does not arrive; what the server sends does.
    DeafServer,
    /// What the server sends does not arrive; what the client sends does.
    DeafClient,
    /// Each piece takes so long, each way.
    Slow(Duration),
}

/// A port that leads to a server; closed when dropped.
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    network: Network,
    is_over: bool,
    /// Both ends of each connection.
    open: Vec<(u64, [TcpStream; 2])>,
    accepted: u64,
}

impl Relay {
    pub fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let relay = Relay { address, shared: shared.clone() };
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if shared.lock().is_over {
                    return;
                }
                shared.join(client, server);
            }
        });
        relay
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn set(&self, network: Network) {
        let mut state = self.shared.lock();
        state.network = network;
        if network == Network::Cut {
            state.end_all();
        }
        self.shared.changed.notify_all();
    }

    /// Connections that are open.
    pub fn open(&self) -> usize {
        self.shared.lock().open.len()
    }

    /// Connections so far.
    pub fn accepted(&self) -> u64 {
        self.shared.lock().accepted
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_over = true;
        state.end_all();
        drop(state);
        self.shared.changed.notify_all();
        let _ = TcpStream::connect(self.address);
    }
}

impl State {
    fn end_all(&self) {
        for end in self.open.iter().flat_map(|(_, ends)| ends) {
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("not poisoned")
    }

    /// Passes bytes both ways, each in a thread.
    fn join(self: &Arc<Self>, client: TcpStream, server: SocketAddr) {
        let mut state = self.lock();
        state.accepted += 1;
        let Ok(server) = TcpStream::connect(server) else { return };
        if state.network == Network::Cut {
            return;
        }
        for end in [&client, &server] {
            let _ = end.set_nodelay(true);
        }
        let id = state.accepted;
        let copy = |end: &TcpStream| end.try_clone().expect("a socket");
        state.open.push((id, [copy(&client), copy(&server)]));
        drop(state);
        for (from, to, from_client) in [(copy(&client), copy(&server), true), (server, client, false)] {
            let shared = self.clone();
            std::thread::spawn(move || shared.pass(id, (from, to), from_client));
        }
    }

    fn pass(&self, id: u64, (mut from, mut to): (TcpStream, TcpStream), from_client: bool) {
        let mut bytes = [0; 16 << 10];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            self.wait(id, from_client);
            if to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        // What ends while nothing goes through is not seen to end.
        self.wait(id, from_client);
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
        self.lock().open.retain(|(other, _)| *other != id);
    }

    /// Waits until bytes of a connection may pass.
    fn wait(&self, id: u64, from_client: bool) {
        let is_held = |state: &mut State| {
            let held = match state.network {
                Network::Silent => true,
                Network::DeafServer => from_client,
                Network::DeafClient => !from_client,
                Network::Whole | Network::Cut | Network::Slow(_) => false,
            };
            held && !state.is_over && state.open.iter().any(|(open, _)| *open == id)
        };
        let state = self.changed.wait_while(self.lock(), is_held).expect("not poisoned");
        let network = state.network;
        drop(state);
        if let Network::Slow(delay) = network {
            std::thread::sleep(delay);
        }
    }
}
