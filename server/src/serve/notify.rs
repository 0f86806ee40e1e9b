//! Tells the supervisor of the process (systemd, `Type=notify`) how far it is.

use std::ffi::OsStr;
use std::io;
use std::os::unix::net::UnixDatagram;

/// Where it listens: a path, or an abstract name after an `@`.
const SOCKET: &str = "NOTIFY_SOCKET";

/// The server answers requests.
pub(super) fn ready() {
    tell("READY=1");
}

/// The server ends.
pub(super) fn stopping() {
    tell("STOPPING=1");
}

fn tell(state: &str) {
    let Some(socket) = std::env::var_os(SOCKET) else { return };
    if let Err(error) = send(&socket, state) {
        tracing::warn!(%error, socket = ?socket, "the supervisor could not be told `{state}`");
    }
}

fn send(socket: &OsStr, state: &str) -> io::Result<()> {
    let from = UnixDatagram::unbound()?;
    #[cfg(target_os = "linux")]
    {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::ffi::OsStrExt;
        use std::os::unix::net::SocketAddr;
        if let Some(name) = socket.as_bytes().strip_prefix(b"@") {
            let address = SocketAddr::from_abstract_name(name)?;
            return from.send_to_addr(state.as_bytes(), &address).map(drop);
        }
    }
    from.send_to(state.as_bytes(), socket).map(drop)
}
