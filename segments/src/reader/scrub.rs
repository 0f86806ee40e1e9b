//! Scrubbing: the bytes of a segment in use are compared with their checksums again, a piece at a
//! time.
//!
//! `verify` asks whether a file is right, all at once. A scrub asks the disk, as what the system keeps
//! in memory hides what has become of it; readers are told of what it finds; and between two pieces
//! it holds nothing, so that the file can go at any time.

use super::segment::Segment;
use crate::format::{CHECK_BLOCK, FOOTER_BYTES, Flaw, Footer, HEADER_BYTES, Header, Kind, Section};
use crate::vfs::is_medium_error;
use crate::{SegmentError, Vfs};

/// Blocks of a step: a megabyte, which every disk reads in one go.
const BLOCKS_A_STEP: usize = 16;

/// What one step of a scrub did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScrubStep {
    /// Where the next step begins; `None` at the end of the file.
    pub next: Option<u32>,
    /// Bytes that were compared.
    pub bytes: u64,
    /// Those of them that came from the system's cache, because they could not be read past it:
    /// that they are right says nothing about the disk.
    pub cached_bytes: u64,
    /// One line for each damaged place.
    pub problems: Vec<String>,
}

impl Segment {
    /// Compares up to a megabyte, from block `from` on (0 at first, then [`ScrubStep::next`]), with its
    /// checksums; the head with the first step. What is damaged counts as damaged from now on:
    /// [`degraded`](Self::degraded) and [`damage`](Self::damage) name it.
    ///
    /// # Errors
    /// [`SegmentError::Io`] if the file cannot be read for another reason than a bad disk, also if it
    /// is no longer there (`NotFound`).
    pub fn scrub(&self, vfs: &dyn Vfs, from: u32) -> Result<ScrubStep, SegmentError> {
        let mut step = ScrubStep::default();
        if from == 0 {
            self.scrub_head(vfs, &mut step)?;
        }
        if let Some((section, block)) = self.section_of_block(from) {
            let end = section.blocks().min(block + BLOCKS_A_STEP);
            self.scrub_blocks(vfs, section, block, end, &mut step)?;
            let next = section.first_block + end as u32;
            step.next = self.section_of_block(next).map(|_| next);
        }
        Ok(step)
    }

    /// The section that a block of the file is in, and its number there.
    fn section_of_block(&self, block: u32) -> Option<(&Section, usize)> {
        let with_blocks = |section: &&Section| section.kind != Some(Kind::Checksums);
        self.contents().sections().iter().filter(with_blocks).find_map(|section| {
            let number = block.checked_sub(section.first_block)? as usize;
            (number < section.blocks()).then_some((section, number))
        })
    }

    fn scrub_blocks(
        &self,
        vfs: &dyn Vfs,
        section: &Section,
        first: usize,
        end: usize,
        step: &mut ScrubStep,
    ) -> Result<(), SegmentError> {
        let mut bytes = vec![0; block_end(section, end - 1) - first * CHECK_BLOCK];
        let whole =
            self.read_again(vfs, section.offset + (first * CHECK_BLOCK) as u64, &mut bytes, step);
        let readable = match whole {
            Ok(()) => true,
            Err(error) if is_lost(&error) => false,
            Err(error) => return Err(error),
        };
        for (block, bytes) in (first..end).zip(bytes.chunks(CHECK_BLOCK)) {
            if readable && self.is_expected(section, block, bytes) {
                continue;
            }
            // Looked at again, and alone: a bus errs too, and its neighbours may be whole.
            if let Some(why) = self.block_flaw(vfs, section, block, step)? {
                self.checks().mark_bad(section.first_block as usize + block);
                step.problems.push(format!("{}: block {block} {why}", section.name()));
            }
        }
        Ok(())
    }

    fn block_flaw(
        &self,
        vfs: &dyn Vfs,
        section: &Section,
        block: usize,
        step: &mut ScrubStep,
    ) -> Result<Option<String>, SegmentError> {
        let start = block * CHECK_BLOCK;
        let mut bytes = vec![0; block_end(section, block) - start];
        match self.read_again(vfs, section.offset + start as u64, &mut bytes, step) {
            Ok(()) if self.is_expected(section, block, &bytes) => Ok(None),
            Ok(()) => Ok(Some("does not match its checksum".to_owned())),
            Err(error) if is_lost(&error) => Ok(Some(format!("cannot be read: {error}"))),
            Err(error) => Err(error),
        }
    }

    fn is_expected(&self, section: &Section, block: usize, bytes: &[u8]) -> bool {
        self.block_crcs().get(section.first_block as usize + block) == Some(&crc32fast::hash(bytes))
    }

    fn scrub_head(&self, vfs: &dyn Vfs, step: &mut ScrubStep) -> Result<(), SegmentError> {
        if self.head_flaw_now(vfs, step)?.is_none() {
            return Ok(());
        }
        // Looked at again, as blocks are.
        if let Some(flaw) = self.head_flaw_now(vfs, step)? {
            step.problems.push(format!("head: {flaw}"));
            self.head_flaw.get_or_init(|| flaw);
        }
        Ok(())
    }

    /// What the next open would find wrong with header, contents table, footer or checksum table.
    fn head_flaw_now(
        &self,
        vfs: &dyn Vfs,
        step: &mut ScrubStep,
    ) -> Result<Option<String>, SegmentError> {
        match self.check_head_again(vfs, step) {
            Ok(Ok(())) => Ok(None),
            Ok(Err(flaw)) => Ok(Some(flaw.of(&self.path).to_string())),
            Err(error) if is_lost(&error) => Ok(Some(error.to_string())),
            Err(error) => Err(error),
        }
    }

    fn check_head_again(
        &self,
        vfs: &dyn Vfs,
        step: &mut ScrubStep,
    ) -> Result<Result<(), Flaw>, SegmentError> {
        let mut header = [0; HEADER_BYTES];
        self.read_again(vfs, 0, &mut header, step)?;
        let mut footer = [0; FOOTER_BYTES];
        self.read_again(vfs, self.bytes() - FOOTER_BYTES as u64, &mut footer, step)?;
        let checked = Header::decode(&header)
            .and_then(|header| Footer::decode(&footer, header.segment, self.bytes()));
        let footer = match checked {
            Ok(footer) => footer,
            Err(flaw) => return Ok(Err(flaw)),
        };
        let checksums = self.section(Kind::Checksums);
        let tables = [
            ("contents", footer.contents_offset, footer.contents_len, footer.contents_crc),
            (Kind::Checksums.name(), checksums.offset, checksums.len, checksums.crc),
        ];
        for (name, offset, len, crc) in tables {
            let mut bytes = vec![0; len as usize];
            self.read_again(vfs, offset, &mut bytes, step)?;
            if crc32fast::hash(&bytes) != crc {
                return Ok(Err(Flaw::damaged(name, "the checksum does not match")));
            }
        }
        Ok(Ok(()))
    }

    /// Reads from the disk if it can be asked, else from the file.
    fn read_again(
        &self,
        vfs: &dyn Vfs,
        offset: u64,
        bytes: &mut [u8],
        step: &mut ScrubStep,
    ) -> Result<(), SegmentError> {
        let error = |source| SegmentError::io("scrub", &self.path, source);
        if !vfs.read_uncached(&self.path, offset, bytes).map_err(error)? {
            self.file().read_at(offset, bytes).map_err(error)?;
            step.cached_bytes += bytes.len() as u64;
        }
        step.bytes += bytes.len() as u64;
        Ok(())
    }
}

/// Where a block ends in its section.
fn block_end(section: &Section, block: usize) -> usize {
    (section.len as usize).min((block + 1) * CHECK_BLOCK)
}

fn is_lost(error: &SegmentError) -> bool {
    matches!(error, SegmentError::Io { source, .. } if is_medium_error(source))
}
