//! All records as lines of JSON, in a file that appears when it is complete.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::{Serialize, Serializer};
use tempfile::TempPath;
use vecstore::{ErrorKind, Include, Metadata, RecordId, limits};

use crate::failure::{Failure, Result};
use crate::search::Params;
use crate::watch::Watch;

/// Bytes of vectors held at a time.
const PAGE_BYTES: usize = 16 << 20;

/// What is written where.
pub(crate) struct Export {
    pub(crate) path: PathBuf,
    pub(crate) vectors: bool,
    pub(crate) filter: Option<String>,
    pub(crate) params: Params,
    pub(crate) overwrite: bool,
}

/// What was written.
#[derive(Serialize)]
pub(crate) struct Exported {
    records: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(serialize_with = "id")]
    id: &'a RecordId,
    #[serde(skip_serializing_if = "Option::is_none")]
    vector: Option<&'a [f32]>,
    metadata: &'a Metadata,
}

fn id<S: Serializer>(id: &RecordId, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    match id {
        RecordId::U64(n) => serializer.serialize_u64(*n),
        id => serializer.collect_str(id),
    }
}

impl Export {
    /// Writes the file; without the interpreter lock.
    pub(crate) fn run(&self, docs: &vecstore::Collection, watch: &mut Watch) -> Result<Exported> {
        let exists = || {
            let message =
                format!("{} exists; overwrite=True would replace it", self.path.display());
            Failure::new(ErrorKind::AlreadyExists, message)
        };
        if !self.overwrite && self.path.exists() {
            return Err(exists());
        }
        let failed = |error: io::Error| Failure::io(&self.path.display(), &error);
        let (mut out, unfinished) = Out::create(&self.path).map_err(failed)?;
        let selected = docs.select(self.filter.as_deref()).bind_all(self.params.clone());
        let total = selected.count()?;
        let limit = (PAGE_BYTES / (docs.settings().dim() * size_of::<f32>()))
            .clamp(1, limits::PAGE_RECORDS_MAX);
        let include = Include { metadata: true, vector: self.vectors };
        let mut scroll = docs.scroll().limit(limit).include(include);
        if let Some(filter) = &self.filter {
            scroll = scroll.filter(filter);
        }
        for (name, value) in &self.params {
            scroll = scroll.bind(name, value.clone());
        }
        let mut records = 0;
        for page in scroll.pages()? {
            for record in page?.records {
                let vector = self.vectors.then_some(&record.vector[..]);
                let line = Line { id: &record.id, vector, metadata: &record.metadata };
                serde_json::to_writer(&mut out, &line).map_err(|e| failed(e.into()))?;
                out.write_all(b"\n").map_err(failed)?;
                records += 1;
                if let ControlFlow::Break(()) = watch.step("records", records, total.max(records)) {
                    return Err(Failure::new(ErrorKind::Conflict, "the export was stopped"));
                }
            }
        }
        let bytes = out.finish().map_err(failed)?;
        let named = match self.overwrite {
            true => unfinished.persist(&self.path),
            false => unfinished.persist_noclobber(&self.path),
        };
        match named {
            Ok(()) => Ok(Exported { records, bytes }),
            Err(e) if e.error.kind() == io::ErrorKind::AlreadyExists => Err(exists()),
            Err(e) => Err(failed(e.error)),
        }
    }
}

enum Out {
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
}

impl Out {
    /// A file beside `path`, which is removed again unless it gets its name.
    fn create(path: &Path) -> io::Result<(Self, TempPath)> {
        let (file, unfinished) = create_beside(path)?;
        let file = BufWriter::with_capacity(1 << 18, file);
        let out = match path.extension().is_some_and(|end| end.eq_ignore_ascii_case("gz")) {
            // More effort hardly makes digits smaller.
            true => Out::Gzip(GzEncoder::new(file, Compression::fast())),
            false => Out::Plain(file),
        };
        Ok((out, unfinished))
    }

    /// Puts everything on disk; returns the bytes of the file.
    fn finish(self) -> io::Result<u64> {
        let file = match self {
            Out::Plain(file) => file,
            Out::Gzip(gzip) => gzip.finish()?,
        };
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        Ok(file.metadata()?.len())
    }
}

/// A new file in the folder of `path`, with the permissions of any new file.
fn create_beside(path: &Path) -> io::Result<(File, TempPath)> {
    let mut attempt = 0;
    loop {
        let name = format!(".vecstore-export-{}-{attempt}.tmp", std::process::id());
        let unfinished = path.with_file_name(name);
        match File::create_new(&unfinished) {
            Ok(file) => return Ok((file, TempPath::try_from_path(unfinished)?)),
            // Of another export, or of a process that was killed.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && attempt < u16::MAX => {
                attempt += 1;
            }
            Err(e) => return Err(e),
        }
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Out::Plain(file) => file.write(bytes),
            Out::Gzip(gzip) => gzip.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Out::Plain(file) => file.flush(),
            Out::Gzip(gzip) => gzip.flush(),
        }
    }
}
