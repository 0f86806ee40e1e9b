//! `vecstore export`: all records as JSON lines that `import` reads.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use vecstore::{Collection, ErrorKind, Include, Metadata, StoredRecord, limits};

use super::ingest::close;
use crate::collection::Target;
use crate::failure::{Failure, Result};
use crate::ids::JsonId;
use crate::output::Output;
use crate::params::{self, Param};
use crate::progress::Progress;
use crate::units;

/// Bytes of vectors held at a time.
const PAGE_BYTES: usize = 64 << 20;

/// Write all records as lines {"id", "vector", "metadata"}, ascending by id; `import` reads them
///
/// The lines are those of one moment: writes during the export are not in it. OUT appears when it
/// is complete.
///
/// JSON: {"path", "records", "bytes", "seconds"}; nothing if OUT is -
#[derive(Debug, Args)]
pub(crate) struct Export {
    #[command(flatten)]
    target: Target,
    /// File to write, compressed if its name ends in .gz; - is standard output
    out: PathBuf,
    /// Leave out the vectors
    #[arg(long)]
    no_vectors: bool,
    /// Only records whose metadata satisfies this
    #[arg(long, value_name = "EXPRESSION")]
    filter: Option<String>,
    /// Value of $NAME in the filter, as JSON; can be repeated
    #[arg(long, value_name = "NAME=JSON", value_parser = params::parse, requires = "filter")]
    param: Vec<Param>,
    /// Replace OUT if it exists
    #[arg(long)]
    overwrite: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    id: JsonId<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vector: Option<&'a [f32]>,
    metadata: &'a Metadata,
}

#[derive(Serialize)]
struct Exported<'a> {
    path: &'a Path,
    records: u64,
    bytes: u64,
    seconds: f64,
}

impl Export {
    pub(super) fn run(self, out: &mut Output) -> Result {
        let to_stdout = self.out == Path::new("-");
        if !to_stdout && !self.overwrite && self.out.exists() {
            return Err(Failure::new(
                ErrorKind::AlreadyExists,
                format!("{} exists; --overwrite would replace it", self.out.display()),
            ));
        }
        let started = Instant::now();
        let (db, collection) = self.target.open()?;
        if to_stdout {
            self.write(&collection, true, |line| out.write_all(line))?;
            return close(db, collection);
        }
        let mut file = Unfinished::create(&self.out)?;
        let records = self.write(&collection, out.is_json(), |line| file.write(line))?;
        let bytes = file.finish()?;
        close(db, collection)?;
        let elapsed = started.elapsed();
        if out.is_json() {
            let seconds = elapsed.as_secs_f64();
            return out.json(&Exported { path: &self.out, records, bytes, seconds });
        }
        writeln!(
            out,
            "exported {} to {}, {}, in {}",
            units::counted(records, "record"),
            self.out.display(),
            units::bytes(bytes),
            units::duration(elapsed)
        )
    }

    /// Hands every line to `sink`; returns how many there are.
    fn write(
        &self,
        collection: &Collection,
        quiet: bool,
        mut sink: impl FnMut(&[u8]) -> Result,
    ) -> Result<u64> {
        let total = match &self.filter {
            Some(filter) => {
                params::bind(collection.select(filter.as_str()), &self.param).count()?
            }
            None => collection.count(None)?,
        };
        let mut progress = Progress::start(quiet, "exporting", "record", Some(total));
        let vector_bytes = collection.settings().dim() * 4;
        let limit = (PAGE_BYTES / vector_bytes).clamp(1, limits::PAGE_RECORDS_MAX);
        let include = Include { metadata: true, vector: !self.no_vectors };
        let mut scroll = collection.scroll().limit(limit).include(include);
        if let Some(filter) = &self.filter {
            scroll = scroll.filter(filter);
        }
        for param in &self.param {
            scroll = scroll.bind(&param.name, param.value.clone());
        }
        let mut text = Vec::new();
        let mut records = 0;
        for page in scroll.pages()? {
            for StoredRecord { id, vector, metadata, .. } in page?.records {
                let vector = (!self.no_vectors).then_some(&vector[..]);
                let line = Line { id: JsonId(&id), vector, metadata: &metadata };
                text.clear();
                serde_json::to_writer(&mut text, &line)
                    .map_err(|e| Failure::new(ErrorKind::Corrupt, format!("record `{id}`: {e}")))?;
                text.push(b'\n');
                sink(&text)?;
                records += 1;
            }
            progress.set(records, None);
        }
        Ok(records)
    }
}

/// A file under a temporary name that gets its own name when it is complete, and is removed
/// otherwise.
struct Unfinished {
    path: PathBuf,
    name: String,
    temporary: tempfile::TempPath,
    encoder: Encoder,
}

enum Encoder {
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
}

impl Encoder {
    fn as_write(&mut self) -> &mut dyn Write {
        match self {
            Encoder::Plain(plain) => plain,
            Encoder::Gzip(gzip) => gzip,
        }
    }

    fn finish(self) -> io::Result<File> {
        let buffered = match self {
            Encoder::Plain(plain) => plain,
            Encoder::Gzip(gzip) => gzip.finish()?,
        };
        buffered.into_inner().map_err(|e| e.into_error())
    }
}

impl Unfinished {
    fn create(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".vecstore-export-").suffix(".tmp");
        // As any new file; a temporary file would be for its owner only.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(folder).map_err(|e| Failure::io(&name, &e))?;
        let (file, temporary) = file.into_parts();
        let file = BufWriter::with_capacity(1 << 18, file);
        let encoder = if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz")) {
            // More effort hardly makes digits smaller.
            Encoder::Gzip(GzEncoder::new(file, Compression::fast()))
        } else {
            Encoder::Plain(file)
        };
        Ok(Unfinished { path: path.to_owned(), name, temporary, encoder })
    }

    fn write(&mut self, bytes: &[u8]) -> Result {
        self.encoder.as_write().write_all(bytes).map_err(|e| Failure::io(&self.name, &e))
    }

    /// Gives the file its name; returns its length in bytes.
    fn finish(self) -> Result<u64> {
        let Unfinished { path, name, temporary, encoder } = self;
        let written = || -> io::Result<u64> {
            let file = encoder.finish()?;
            file.sync_all()?;
            let bytes = file.metadata()?.len();
            temporary.persist(&path).map_err(|e| e.error)?;
            Ok(bytes)
        };
        written().map_err(|e| Failure::io(&name, &e))
    }
}
