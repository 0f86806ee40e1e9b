//! The binary `vecstore`.

/// glibc's allocator keeps what a thread freed for that thread, so that a process with many clients grew
/// with every minute (`load -- mixed`). Metadata is many small pieces made by one thread and freed by
/// another; answers with it take less time with this one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    vecstore_server::main()
}
