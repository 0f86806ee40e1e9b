//! A server as its users have it: the real binary on loopback.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything may take here before it counts as never.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running server; killed when dropped.
pub struct Server {
    child: Child,
    pub http: SocketAddr,
    pub grpc: SocketAddr,
    log: Receiver<String>,
}

impl Server {
    /// Serves `dir` on free ports.
    pub fn start(dir: &Path) -> Self {
        Server::start_with(dir, &[])
    }

    pub fn start_with(dir: &Path, flags: &[&str]) -> Self {
        Server::spawn(command(dir, flags))
    }

    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the binary runs");
        let stderr = child.stderr.take().expect("its log");
        let (lines, log) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                // Nobody may want it any more.
                let _ = lines.send(line);
            }
        });
        let mut server =
            Server { child, http: ([0, 0, 0, 0], 0).into(), grpc: ([0, 0, 0, 0], 0).into(), log };
        while server.http.port() == 0 || server.grpc.port() == 0 {
            let line = server.log.recv_timeout(PATIENCE).expect("a line of the log");
            let line: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
            if line["message"] == "listening" {
                let address = line["address"].as_str().expect("text").parse().expect("an address");
                match line["protocol"].as_str() {
                    Some("http") => server.http = address,
                    _ => server.grpc = address,
                }
            }
        }
        server
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.pid().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Waits for the end of the process.
    pub fn wait(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(started.elapsed() < PATIENCE, "the server does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for a line of the log with this message.
    pub fn logged(&self, message: &str) -> Value {
        loop {
            let line = self.log.recv_timeout(PATIENCE).expect("a line of the log");
            let line: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
            if line["message"] == message {
                return line;
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `vecstore serve` with free ports; later flags count.
pub fn command(dir: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vecstore"));
    command.arg("serve").arg(dir).args(["--log-format", "json"]);
    for (name, default) in [("--http", "127.0.0.1:0"), ("--grpc", "127.0.0.1:0")] {
        if !flags.contains(&name) {
            command.args([name, default]);
        }
    }
    command.args(flags).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}
