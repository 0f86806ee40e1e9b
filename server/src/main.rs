//! The binary `vecstore`.

/// The system's allocator keeps what a thread freed for that thread: under load from many clients the
/// process held twice what it used, and more with every minute (`load -- mixed`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    vecstore_server::main()
}
