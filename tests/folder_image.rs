//! What a folder holds at one moment, as a crash would leave it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a folder may go on changing before a test that wants a picture of it gives up.
const PATIENCE: Duration = Duration::from_secs(60);
const ZEROS: [u8; 4_096] = [0; 4_096];

/// Folders and files below a folder, by their path in it.
#[derive(Clone, Debug, PartialEq)]
pub struct FolderImage {
    folders: Vec<PathBuf>,
    /// The files.
    pub files: BTreeMap<PathBuf, FileImage>,
}

/// A file. A journal is as long as it may become, and mostly zeros.
#[derive(Clone, Debug, PartialEq)]
pub struct FileImage {
    /// Its bytes without the zeros at its end.
    pub bytes: Vec<u8>,
    /// Its length with them.
    pub len: u64,
}

impl FolderImage {
    /// The folder between two changes of it: an open database has threads that write tables and
    /// remove them, and files that were read one after the other need never have been together.
    pub fn of(root: &Path) -> Self {
        let deadline = Instant::now() + PATIENCE;
        let mut before = Self::read(root);
        loop {
            let now = Self::read(root);
            match (before, &now) {
                (Ok(before), Ok(now)) if before == *now => return before,
                (_, Err(error)) if error.kind() != io::ErrorKind::NotFound => {
                    panic!("{}: {error}", root.display())
                }
                _ => assert!(Instant::now() < deadline, "{} keeps changing", root.display()),
            }
            before = now;
        }
    }

    /// One file after the other, each as it is by then.
    fn read(root: &Path) -> io::Result<Self> {
        let mut image = FolderImage { folders: Vec::new(), files: BTreeMap::new() };
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(root.join(&folder))? {
                let entry = entry?;
                let path = folder.join(entry.file_name());
                if entry.file_type()?.is_dir() {
                    folders.push(path);
                } else {
                    image.files.insert(path, FileImage::read(&entry.path())?);
                }
            }
            image.folders.push(folder);
        }
        image.folders.sort();
        Ok(image)
    }

    /// Leaves out what `keep` doesn't hold for.
    #[must_use]
    pub fn only(&self, keep: impl Fn(&Path) -> bool) -> Self {
        let mut image = self.clone();
        image.folders.retain(|path| keep(path));
        image.files.retain(|path, _| keep(path));
        image
    }

    /// Lays it out in a folder of its own.
    pub fn lay_out(&self) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a temporary folder");
        self.write(dir.path());
        dir
    }

    /// Lays it out in `root`, over what is there.
    pub fn write(&self, root: &Path) {
        for folder in &self.folders {
            std::fs::create_dir_all(root.join(folder)).expect("a folder of the image");
        }
        for (path, file) in &self.files {
            file.write(&root.join(path));
        }
    }
}

impl FileImage {
    fn read(path: &Path) -> io::Result<Self> {
        let mut bytes = std::fs::read(path)?;
        let len = bytes.len() as u64;
        // By blocks: byte by byte a journal takes half a second in a build for tests.
        while let Some(rest) = bytes.strip_suffix(&ZEROS) {
            bytes.truncate(rest.len());
        }
        bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
        Ok(FileImage { bytes, len })
    }

    /// Writes it to `path`, over what is there.
    pub fn write(&self, path: &Path) {
        std::fs::write(path, &self.bytes)
            .and_then(|()| std::fs::OpenOptions::new().write(true).open(path)?.set_len(self.len))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::FileExt;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// Two files are brought to the next number in turns of order, with others between them that
    /// take time to read: an image that has them in an order in which they never were is of two
    /// moments.
    #[test]
    fn an_image_is_of_one_moment() {
        let dir = tempfile::tempdir().unwrap();
        let (root, ends) = (dir.path(), AtomicBool::new(false));
        let names: Vec<String> = (0..66).map(|n| format!("{n:02}")).collect();
        names.iter().for_each(|name| fs::write(root.join(name), [1]).unwrap());
        let pair = [&names[0], &names[65]];
        let open = |name| File::options().write(true).open(root.join(name)).unwrap();
        let files = pair.map(open);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 2_u8..=255 {
                    let first = usize::from(n % 2);
                    files[first].write_all_at(&[n], 0).unwrap();
                    files[1 - first].write_all_at(&[n], 0).unwrap();
                    std::thread::sleep(Duration::from_millis(3));
                }
                ends.store(true, Ordering::Relaxed);
            });
            let mut goes_on = true;
            while goes_on {
                goes_on = !ends.load(Ordering::Relaxed);
                let image = FolderImage::of(root);
                let at = pair.map(|name| image.files[Path::new(name)].bytes[0]);
                let latest = at[0].max(at[1]);
                let is_first = at[usize::from(latest % 2)] == latest;
                assert!(is_first && at[0].abs_diff(at[1]) <= 1, "{at:?} never was");
            }
        });
    }
}
