//! The bytes of a segment file, as `FORMAT.md` describes them: encoding and checked decoding of
//! each part, without any reading or writing of files.

mod block;
mod bloom;
mod contents;
mod flaw;
mod footer;
mod header;
mod indexes;
mod keys;
mod kind;
mod namespaces;
mod numbers;
mod xxh64;

pub(crate) use block::{BlockBuilder, BlockEntry, DecodedBlock, entry_of_row};
pub(crate) use bloom::{BLOOM_BLOCK_BYTES, BloomBuilder, bloom_block, bloom_contains};
pub(crate) use contents::{CHECK_BLOCK, Contents, Section, encode_contents};
pub(crate) use flaw::Flaw;
pub(crate) use footer::{FOOTER_BYTES, Footer};
pub(crate) use header::{DIM_MAX, HEADER_BYTES, Header, ROWS_MAX};
pub(crate) use indexes::{
    ClusterParts, CoarseParts, GraphParts, IndexEntry, IndexParts, IndexSections, decode_indexes,
    encode_indexes,
};
pub(crate) use keys::{key_hash, namespace_seed};
pub(crate) use kind::Kind;
pub(crate) use namespaces::{NamespaceEntry, decode_namespaces, encode_namespaces};

#[cfg(target_endian = "big")]
compile_error!("a segment's arrays are mapped as they are, little-endian");
