//! The binary `vecstore`.

fn main() -> std::process::ExitCode {
    vecstore_server::main()
}
