//! Volumes of their own, for tests that cut their power or fill them. They need root.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted volume; unmounted when dropped.
#[derive(Debug)]
pub struct Volume {
    /// Holds the mount point, and the image if it is the volume's own.
    folder: tempfile::TempDir,
    image: PathBuf,
    options: String,
    mounted: bool,
}

impl Volume {
    /// An ext4 file system in a file, on a loop device. `Err` says why there can be none here.
    pub fn ext4(bytes: u64) -> Result<Volume, String> {
        let mut volume = Volume::unmounted()?;
        File::create(&volume.image)
            .and_then(|file| file.set_len(bytes))
            .map_err(|e| format!("{}: {e}", volume.image.display()))?;
        make_ext4(&volume.image)?;
        volume.mount()?;
        Ok(volume)
    }

    /// The file system in the file `image`, on a loop device, mounted with `options` beside `loop`.
    pub fn of_image(image: &Path, options: &str) -> Result<Volume, String> {
        let mut volume = Volume::unmounted()?;
        volume.image = image.to_owned();
        volume.options = format!("loop,{options}");
        volume.mount()?;
        Ok(volume)
    }

    /// A file system in memory. `Err` says why there can be none here.
    pub fn memory(bytes: u64) -> Result<Volume, String> {
        let mut volume = Volume::unmounted()?;
        let size = format!("size={bytes}");
        run("mount", &["-t", "tmpfs", "-o", &size, "none"], &[&volume.path()])?;
        volume.mounted = true;
        Ok(volume)
    }

    fn unmounted() -> Result<Volume, String> {
        if !cfg!(target_os = "linux") {
            return Err("only on Linux".to_owned());
        }
        if !rustix::process::geteuid().is_root() {
            return Err("only root may mount".to_owned());
        }
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let image = folder.path().join("image");
        let volume = Volume { folder, image, options: "loop".to_owned(), mounted: false };
        fs::create_dir(volume.path()).map_err(|e| e.to_string())?;
        Ok(volume)
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("mount")
    }

    fn mount(&mut self) -> Result<(), String> {
        run("mount", &["-o", &self.options], &[&self.image, &self.path()])?;
        self.mounted = true;
        Ok(())
    }

    /// What a power cut does: nothing more reaches the disk, the journal included. ext4 alone.
    ///
    /// # Errors
    /// Where the file system has no such call.
    #[cfg(target_os = "linux")]
    pub fn cut_power(&self) -> Result<(), String> {
        /// `EXT4_IOC_SHUTDOWN`, `_IOR('X', 125, u32)`.
        const SHUTDOWN: rustix::ioctl::Opcode = 0x8004_587d;
        /// `EXT4_GOING_FLAGS_NOLOGFLUSH`.
        const WITHOUT_FLUSHING_THE_JOURNAL: u32 = 2;
        let folder = File::open(self.path()).map_err(|e| e.to_string())?;
        // SAFETY: the kernel reads one `u32` through the pointer that this call gets.
        let cut = unsafe {
            let shutdown =
                rustix::ioctl::Setter::<SHUTDOWN, u32>::new(WITHOUT_FLUSHING_THE_JOURNAL);
            rustix::ioctl::ioctl(&folder, shutdown)
        };
        cut.map_err(|e| format!("the shutdown call of ext4: {e}"))
    }

    /// As on Linux, which alone has it.
    #[cfg(not(target_os = "linux"))]
    pub fn cut_power(&self) -> Result<(), String> {
        Err("only on Linux".to_owned())
    }

    /// Power is back: mounted again, which replays the file system's journal.
    pub fn power_up(&mut self) -> Result<(), String> {
        self.unmount()?;
        self.mount()
    }

    /// No longer mounted; what was written is in the image.
    pub fn unmount(&mut self) -> Result<(), String> {
        if self.mounted {
            run("umount", &[], &[&self.path()])?;
            self.mounted = false;
        }
        Ok(())
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // A test that failed has said so; what stays mounted is seen in `mount`.
        let _ = self.unmount();
    }
}

/// Makes an ext4 file system in a file.
pub fn make_ext4(image: &Path) -> Result<(), String> {
    run("mkfs.ext4", &["-q", "-F"], &[image])
}

fn run(program: &str, arguments: &[&str], paths: &[&Path]) -> Result<(), String> {
    let output = Command::new(program)
        .args(arguments)
        .args(paths)
        .output()
        .map_err(|e| format!("{program}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
