//! The socket between the two processes: lines of JSON, and file descriptors.

use super::Said;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// How often a wait looks whether it should go on.
const LOOK: Duration = Duration::from_millis(50);
/// No word is longer.
const LONGEST: usize = 1 << 20;
/// Goes along with each socket: a descriptor needs a byte to travel with.
const MARK: u8 = b'.';

/// One end.
#[derive(Debug)]
pub(super) struct Wire(UnixStream);

/// Why nothing was heard.
#[derive(Debug, thiserror::Error)]
pub(super) enum Silence {
    #[error("it has closed the connection")]
    Closed,
    #[error("nothing came in time")]
    GaveUp,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it says what is not understood: {0}")]
    Strange(String),
    /// One of the two does not go on, for this reason.
    #[error("{0}")]
    Refused(String),
}

impl Wire {
    pub(super) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(LOOK))?;
        Ok(Wire(stream))
    }

    pub(super) fn say(&mut self, said: &Said) -> io::Result<()> {
        let mut line = serde_json::to_vec(said)?;
        line.push(b'\n');
        self.0.write_all(&line)
    }

    /// The next word; waits for as long as `goes_on` says so.
    pub(super) fn hear(&mut self, goes_on: impl Fn() -> bool) -> Result<Said, Silence> {
        let mut line = Vec::new();
        loop {
            // Byte by byte: what follows a line may carry descriptors and must not be read along.
            let mut byte = [0];
            match self.0.read(&mut byte) {
                Ok(0) => return Err(Silence::Closed),
                Ok(_) if byte == *b"\n" => return understood(&line),
                Ok(_) if line.len() >= LONGEST => return Err(Silence::Strange("a line without end".into())),
                Ok(_) => line.extend(byte),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut if goes_on() => (),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => return Err(Silence::GaveUp),
                    io::ErrorKind::Interrupted => (),
                    io::ErrorKind::ConnectionReset => return Err(Silence::Closed),
                    _ => return Err(error.into()),
                },
            }
        }
    }

    pub(super) fn send_socket(&mut self, socket: &TcpListener) -> io::Result<()> {
        let sockets = [socket.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(&sockets)) {
            return Err(io::Error::other("no space for a descriptor"));
        }
        sendmsg(&self.0, &[IoSlice::new(&[MARK])], &mut control, SendFlags::empty())?;
        Ok(())
    }

    pub(super) fn receive_socket(&mut self) -> io::Result<TcpListener> {
        let mut mark = [0];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut data = [IoSliceMut::new(&mut mark)];
        recvmsg(&self.0, &mut data, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        let mut received: Vec<OwnedFd> = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                received.extend(descriptors);
            }
        }
        received.pop().map(TcpListener::from).ok_or_else(|| io::Error::other("a socket is missing"))
    }
}

fn understood(line: &[u8]) -> Result<Said, Silence> {
    serde_json::from_slice(line).map_err(|error| Silence::Strange(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    #[test]
    fn words_and_sockets_arrive_in_order() {
        let (one, other) = UnixStream::pair().expect("a pair");
        let (mut old, mut new) = (Wire::new(one).expect("an end"), Wire::new(other).expect("an end"));
        let sockets = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").expect("a socket"));
        let names = vec!["one".to_owned(), "other".to_owned()];
        old.say(&Said::Sockets { names: names.clone() }).expect("said");
        for socket in &sockets {
            old.send_socket(socket).expect("sent");
        }
        old.say(&Said::Released).expect("said");
        assert_eq!(new.hear(|| true).expect("heard"), Said::Sockets { names });
        for socket in &sockets {
            let received = new.receive_socket().expect("received");
            let address = received.local_addr().expect("an address");
            assert_eq!(address, socket.local_addr().expect("an address"));
            let _client = TcpStream::connect(address).expect("it listens");
            received.accept().expect("by this handle, too");
        }
        assert_eq!(new.hear(|| true).expect("heard"), Said::Released);
        assert!(matches!(new.hear(|| false), Err(Silence::GaveUp)));
        new.0.write_all(b"{\"say\": \"hello\"}\n").expect("said");
        assert!(matches!(old.hear(|| true), Err(Silence::Strange(_))), "a word of another version");
        drop(new);
        assert!(matches!(old.hear(|| true), Err(Silence::Closed)));
    }
}
