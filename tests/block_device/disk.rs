//! The bytes of a disk, cheap to copy, and what is done to it.

use std::sync::Arc;

use crate::Random;

/// What a disk writes as a whole or not at all.
pub const SECTOR: usize = 512;
const BLOCK: usize = 4096;

type Block = [u8; BLOCK];

/// A disk; clones share what is the same.
#[derive(Clone, Debug)]
pub struct Disk(Vec<Option<Arc<Block>>>);

/// What is done to a disk.
#[derive(Clone, Debug)]
pub enum Event {
    /// Bytes at a place.
    Write(u64, Arc<[u8]>),
    /// Everything before is to be on the medium when this returns.
    Flush,
}

/// How much of the writes behind the last flush a power cut leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// None of them.
    None,
    /// All of them.
    All,
    /// Each or not, by chance.
    Some,
    /// All but one.
    AllButOne,
    /// Only the last one.
    Last,
    /// Each sector of each or not, by chance.
    Sectors,
}

impl Part {
    /// All of them.
    pub const ALL: [Part; 6] =
        [Part::None, Part::All, Part::Some, Part::AllButOne, Part::Last, Part::Sectors];
}

impl Disk {
    /// A disk of zeros.
    pub fn new(bytes: u64) -> Self {
        Disk(vec![None; bytes as usize / BLOCK])
    }

    /// Its length.
    pub fn bytes(&self) -> u64 {
        (self.0.len() * BLOCK) as u64
    }

    /// Reads from a place; what lies beyond the end is left out.
    pub fn read(&self, offset: u64, len: usize) -> Vec<u8> {
        let end = self.bytes().min(offset.saturating_add(len as u64)) as usize;
        let mut at = offset as usize;
        let mut bytes = Vec::with_capacity(len);
        while at < end {
            let stop = end.min((at / BLOCK + 1) * BLOCK);
            match &self.0[at / BLOCK] {
                Some(block) => bytes.extend_from_slice(&block[at % BLOCK..][..stop - at]),
                None => bytes.resize(bytes.len() + stop - at, 0),
            }
            at = stop;
        }
        bytes
    }

    /// Writes to a place within the disk.
    ///
    /// # Panics
    /// Beyond its end.
    pub fn write(&mut self, offset: u64, mut bytes: &[u8]) {
        let mut at = offset as usize;
        while !bytes.is_empty() {
            let len = bytes.len().min(BLOCK - at % BLOCK);
            let block = self.0[at / BLOCK].get_or_insert_with(|| Arc::new([0; BLOCK]));
            Arc::make_mut(block)[at % BLOCK..][..len].copy_from_slice(&bytes[..len]);
            (at, bytes) = (at + len, &bytes[len..]);
        }
    }

    /// Does all of it.
    pub fn apply(&mut self, events: &[Event]) {
        for event in events {
            if let Event::Write(offset, bytes) = event {
                self.write(*offset, bytes);
            }
        }
    }

    /// Does a part of it, in an order of its own, and of the last write of several only some sectors.
    pub fn apply_part(&mut self, events: &[Event], part: Part, random: &mut Random) {
        let mut writes: Vec<(u64, &[u8])> = Vec::new();
        for event in events {
            if let Event::Write(offset, bytes) = event {
                writes.push((*offset, bytes));
            }
        }
        match part {
            Part::None => writes.clear(),
            Part::All | Part::Sectors => {}
            Part::Some => writes.retain(|_| random.below(2) == 0),
            Part::AllButOne => drop(writes.swap_remove(random.below(writes.len() as u64) as usize)),
            Part::Last => drop(writes.drain(..writes.len() - 1)),
        }
        if part != Part::All {
            for last in (1..writes.len()).rev() {
                writes.swap(last, random.below(last as u64 + 1) as usize);
            }
        }
        // One write of those that are kept is torn, wherever it is, and with `Sectors` all.
        let torn = match part {
            Part::Some | Part::AllButOne | Part::Last => random.below(writes.len().max(1) as u64),
            _ => u64::MAX,
        };
        for (number, (offset, bytes)) in (0..).zip(writes) {
            if number != torn && part != Part::Sectors {
                self.write(offset, bytes);
                continue;
            }
            let sectors = (0..).step_by(SECTOR).zip(bytes.chunks(SECTOR));
            for (at, sector) in sectors.filter(|_| random.below(2) == 0) {
                self.write(offset + at, sector);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(offset: u64, byte: u8, len: usize) -> Event {
        Event::Write(offset, vec![byte; len].into())
    }

    #[test]
    fn a_disk_reads_what_was_written() {
        let mut disk = Disk::new(4 * BLOCK as u64);
        let before = disk.clone();
        disk.apply(&[write(4000, 1, 5000), Event::Flush, write(4096, 2, 512)]);
        assert_eq!(disk.read(3999, 3), [0, 1, 1]);
        assert_eq!(disk.read(4095, 2), [1, 2]);
        assert_eq!(disk.read(4607, 2), [2, 1]);
        assert_eq!(disk.read(8999, 2), [1, 0]);
        assert_eq!(disk.read(4 * BLOCK as u64 - 1, 9), [0]);
        assert!(before.read(0, 4 * BLOCK).iter().all(|&byte| byte == 0), "clones are apart");
    }

    #[test]
    fn a_part_is_a_part() {
        let events: Vec<Event> =
            (0..8).map(|n| write(n * BLOCK as u64, n as u8 + 1, BLOCK)).collect();
        let mut random = Random::new(1);
        let mut counts = |part| {
            let mut disk = Disk::new(8 * BLOCK as u64);
            disk.apply_part(&events, part, &mut random);
            let sector = |at| disk.read((at * SECTOR) as u64, SECTOR).iter().all(|&byte| byte != 0);
            (0..64).filter(|&at| sector(at)).count()
        };
        assert_eq!((counts(Part::None), counts(Part::All)), (0, 64));
        for _ in 0..50 {
            assert!((1..64).contains(&counts(Part::Sectors)));
            assert!(counts(Part::Last) <= 8);
            assert!((48..=56).contains(&counts(Part::AllButOne)));
            assert!(counts(Part::Some) < 64);
        }
    }
}
