//! libFuzzer's way to [`vecstore_fuzz::http_bodies`].

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    /// Requests before a server with the records of the beginning takes the place of one that has
    /// what the requests left.
    const LIFE: u32 = 2_000;
    thread_local! {
        static SERVER: std::cell::RefCell<(u32, vecstore_fuzz::Probe)> =
            std::cell::RefCell::new((0, vecstore_fuzz::server()));
    }
    SERVER.with_borrow_mut(|(requests, server)| {
        *requests += 1;
        if *requests > LIFE {
            (*requests, *server) = (0, vecstore_fuzz::server());
        }
        vecstore_fuzz::http_bodies(server, bytes);
    });
});

/// In an ordinary build: runs the property on the files named on the command line, so that an input
/// that cargo-fuzz found can be looked at in a debugger.
#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    let server = vecstore_fuzz::server();
    std::env::args_os().skip(1).try_for_each(|path| {
        vecstore_fuzz::http_bodies(&server, &std::fs::read(path)?);
        Ok(())
    })
}
