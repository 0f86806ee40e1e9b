//! Rust for `proto/`, compiled without `protoc`: the messages and the server for the binary, the
//! messages and the client for the tests, and the descriptors that the reflection service shows. Of
//! OTLP it is the other way round: the server is a client of a collector, and a test is a collector.
//! Of Qdrant's interface the messages, and a table of their fields, by which what is not supported is
//! refused.

use std::error::Error;
use std::fmt::Write;
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

    let qdrant = protox::compile(["qdrant/qdrant.proto"], ["proto"])?;
    let mut messages = Vec::new();
    let mut pending: Vec<_> = (qdrant.file.iter())
        .flat_map(|file| file.message_type.iter().map(|m| (format!(".{}", file.package()), m)))
        .collect();
    while let Some((around, message)) = pending.pop() {
        let name = format!("{around}.{}", message.name());
        pending.extend(message.nested_type.iter().map(|inner| (name.clone(), inner)));
        messages.push((name, message));
    }
    let mut table = "&[\n".to_owned();
    for (name, message) in &messages {
        let mut fields: Vec<_> = message.field.iter().collect();
        fields.sort_by_key(|field| field.number());
        writeln!(table, "({:?}, &[", name.trim_start_matches(".qdrant."))?;
        for field in fields {
            let content = match field.type_name() {
                ".qdrant.Unsupported" | ".qdrant.UnsupportedNumber" => "Unsupported".to_owned(),
                ".qdrant.Presence" => "Plain".to_owned(),
                of => match messages.iter().position(|(name, _)| name == of) {
                    Some(at) => format!("Message({at})"),
                    None => "Plain".to_owned(),
                },
            };
            writeln!(table, "({}, {:?}, {content}),", field.number(), field.name())?;
        }
        table.push_str("]),\n");
    }
    table.push(']');
    std::fs::write(out.join("qdrant_messages.rs"), table)?;
    let folder = out.join("qdrant");
    std::fs::create_dir_all(&folder)?;
    tonic_prost_build::configure()
        .build_server(false)
        .build_client(false)
        .build_transport(false)
        .out_dir(&folder)
        .compile_fds(qdrant)?;
    Ok(())
}
