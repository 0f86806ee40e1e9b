//! Rust for `proto/`, compiled without `protoc`: the messages and the server for the binary, the
//! messages and the client for the tests, and the descriptors that the reflection service shows. Of
//! OTLP it is the other way round: the server is a client of a collector, and a test is a collector.

use std::error::Error;
use std::path::PathBuf;

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let files = protox::compile(["vecstore/v1/vecstore.proto"], ["proto"])?;
    let otlp = protox::compile(["otlp/trace.proto"], ["proto"])?;
    for (files, folder, server) in [
        (&files, "server", true),
        (&files, "client", false),
        (&otlp, "otlp", false),
        (&otlp, "collector", true),
    ] {
        let folder = out.join(folder);
        std::fs::create_dir_all(&folder)?;
        tonic_prost_build::configure()
            .build_server(server)
            .build_client(!server)
            .build_transport(false)
            .out_dir(&folder)
            .compile_fds(files.clone())?;
    }
    std::fs::write(out.join("descriptors.bin"), files.encode_to_vec())?;
    Ok(())
}
