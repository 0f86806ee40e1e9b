//! Every call fails once, or from there on: the error has a kind, nothing acknowledged is lost, and
//! the database goes on or says that it must be opened again.
//!
//! `VECSTORE_LONG=1` goes through more histories (see RELIABILITY.md).

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use vecstore::{Database, Durability, Error, ErrorKind, Options};
use vecstore_tests::simulation::disk::{Disk, Survives};
use vecstore_tests::simulation::script::{self, Model, Step};
use vecstore_tests::simulation::world::{Failure, Fault, ROOT, World};
use vecstore_tests::{Random, is_long};

static RUNS: AtomicU64 = AtomicU64::new(0);
static WENT_ON: AtomicU64 = AtomicU64::new(0);
static REFUSED: AtomicU64 = AtomicU64::new(0);

/// A database under faults, and what it may hold.
struct Sufferer<'a> {
    options: Options,
    world: World,
    fault: Option<Fault>,
    steps: &'a [Step],
    db: Option<Database>,
    possible: Vec<Model>,
    /// What it holds as far as it can be read; one of `possible`.
    visible: Model,
    /// Making or removing the snapshot failed: it may be there or not, or go with a power cut.
    snapshot_is_unsure: bool,
}

impl<'a> Sufferer<'a> {
    fn new(steps: &'a [Step], fault: Option<Fault>) -> Self {
        let world = World::new(Disk::new(Path::new(ROOT)));
        world.set_fault(fault);
        Sufferer {
            options: script::options(Durability::Sync),
            world,
            fault,
            steps,
            db: None,
            possible: vec![Model::default()],
            visible: Model::default(),
            snapshot_is_unsure: false,
        }
    }

    fn may_be(&self, found: &Model) -> Option<&Model> {
        self.possible.iter().find(|model| {
            script::has_rows(found, model)
                && (self.snapshot_is_unsure || script::has_snapshot(found, model))
        })
    }

    fn check_error(&self, what: &str, error: &Error) {
        let full =
            matches!(self.fault, Some(Fault { failure: Failure::Full | Failure::Short, .. }));
        let fits = match error.kind() {
            ErrorKind::Closed => error.to_string().contains("open it again"),
            ErrorKind::DiskFull => full,
            ErrorKind::Io => true,
            _ => false,
        };
        assert!(fits, "{:?}, {what}: {:?}: {error}", self.fault, error.kind());
    }

    /// Opens it, at the second attempt at the latest if only one call fails.
    fn open(&mut self) {
        for _ in 0..2 {
            match self.world.open(&self.options) {
                Ok(db) => {
                    self.db = Some(db);
                    self.look();
                    if self.db.is_some() {
                        return;
                    }
                }
                Err(error) => self.check_error("open", &error),
            }
        }
        assert!(
            self.fault.is_some_and(|fault| fault.calls > 1),
            "{:?}: one failure keeps it from opening for good",
            self.fault
        );
    }

    /// What is visible is one of what is possible. What cannot be read is opened again.
    fn look(&mut self) {
        let Some(db) = &self.db else { return };
        match script::read(db) {
            Ok(found) => {
                let Some(model) = self.may_be(&found) else {
                    panic!("{:?}: found {found:?}, none of {:?}", self.fault, self.possible)
                };
                self.visible = model.clone();
            }
            Err(error) => {
                self.check_error("read", &error);
                self.db = None;
            }
        }
    }

    fn step(&mut self, step: &Step) {
        if self.db.is_none() || matches!(step, Step::Reopen) {
            self.db = None;
            self.open();
        }
        let Some(db) = &self.db else { return };
        // Without its collection there is nothing to write to.
        let needs_collection = !matches!(step, Step::Recreate | Step::Restore | Step::Snapshot);
        if self.visible.rows.is_none() && needs_collection {
            return;
        }
        if self.snapshot_is_unsure && matches!(step, Step::Restore) {
            return;
        }
        let after = self.visible.after(step);
        let mut done_early = false;
        let outcome = if matches!(step, Step::Reopen) {
            Ok(())
        } else {
            script::run(db, &self.visible, step, &mut || done_early = true)
        };
        match outcome {
            Ok(()) => {
                self.snapshot_is_unsure &= !matches!(step, Step::Snapshot);
                self.visible = after.last().unwrap().clone();
                self.possible = vec![self.visible.clone()];
            }
            Err(error) => {
                self.check_error(&format!("{step:?}"), &error);
                self.snapshot_is_unsure |= matches!(step, Step::Snapshot);
                if done_early {
                    self.possible = vec![after.last().unwrap().clone()];
                } else {
                    self.possible.push(self.visible.clone());
                    self.possible.extend(after);
                }
                self.look();
                if self.db.is_none() {
                    return;
                }
                if error.kind() == ErrorKind::Closed || self.refuses() {
                    REFUSED.fetch_add(1, Ordering::Relaxed);
                    self.db = None;
                } else {
                    WENT_ON.fetch_add(1, Ordering::Relaxed);
                    // What can be seen is what there is: it takes writes on top of it.
                    if let Some(found) = self.db.as_ref().and_then(|db| script::read(db).ok()) {
                        self.possible.retain(|model| script::has_rows(&found, model));
                    }
                }
            }
        }
    }

    /// Whether it takes no writes any more; asked with one that has nothing to do.
    fn refuses(&self) -> bool {
        let outcome = self.db.as_ref().map(|db| db.drop_collection("nobody's"));
        matches!(outcome, Some(Err(error)) if error.kind() == ErrorKind::Closed)
    }

    fn suffer(&mut self) {
        self.step(&Step::Recreate);
        for step in self.steps {
            self.step(step);
        }
    }

    /// Without faults it is well again, after a power cut and after the end of the process.
    fn check_recovers(mut self, random: &mut Random) {
        RUNS.fetch_add(1, Ordering::Relaxed);
        let cut = self.world.disk();
        self.db = None;
        let survivors = [Survives::Nothing, Survives::InOrder, Survives::AnyOrder];
        let disks = survivors.map(|survives| cut.crash(survives, random));
        for disk in disks.into_iter().chain([self.world.disk()]) {
            let world = World::new(disk);
            let db = world
                .open(&self.options)
                .unwrap_or_else(|error| panic!("{:?}: does not open: {error}", self.fault));
            let found = script::read(&db).unwrap();
            let Some(model) = self.may_be(&found) else {
                panic!("{:?}: found {found:?}, none of {:?}", self.fault, self.possible)
            };
            script::check_reads(&db, &found, random).unwrap();
            assert_eq!(db.verify().unwrap().problems, Vec::<String>::new(), "{:?}", self.fault);
            let mut model = model.clone();
            let steps =
                [Step::Recreate, Step::Upsert(0, vec![1, 2, 3]), Step::Flush, Step::Optimize];
            for step in &steps[usize::from(model.rows.is_some())..] {
                script::run(&db, &model, step, &mut || {})
                    .unwrap_or_else(|error| panic!("{:?}, then {step:?}: {error}", self.fault));
                model = model.after(step).pop().unwrap();
            }
            assert!(script::has_rows(&script::read(&db).unwrap(), &model));
        }
    }
}

/// Lets each call of a history fail in each way.
fn fail_everywhere(steps: &[Step], random: &mut Random) {
    let mut well = Sufferer::new(steps, None);
    well.suffer();
    let (calls, _) = well.world.calls();
    well.check_recovers(random);
    for failure in [Failure::Io, Failure::Full, Failure::Short] {
        for at in 1..=calls {
            // Once; for a while; for good.
            for calls in [1, 7, 1 << 40] {
                let mut sufferer = Sufferer::new(steps, Some(Fault { at, calls, failure }));
                sufferer.suffer();
                sufferer.check_recovers(random);
            }
        }
    }
}

#[test]
fn a_failing_call_loses_nothing_acknowledged() {
    let seed = std::env::var("VECSTORE_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1_u64);
    let runs = if is_long() { 200_000 } else { 10_000 };
    let mut histories = 0;
    fail_everywhere(&script::each_kind_once(), &mut Random::new(seed));
    while RUNS.load(Ordering::Relaxed) < runs {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&(seed + histories).to_le_bytes());
        let config = Config {
            cases: 1,
            failure_persistence: None,
            max_shrink_iters: 50,
            ..Config::default()
        };
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let steps = prop::collection::vec(script::step(), 3..10);
        let outcome = TestRunner::new_with_rng(config, rng).run(&steps, |steps| {
            fail_everywhere(&steps, &mut Random::new(seed + histories));
            Ok(())
        });
        if let Err(failure) = outcome {
            panic!("VECSTORE_SEED={}: {failure}", seed + histories);
        }
        histories += 1;
    }
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    println!(
        "a fixed history and {histories} from VECSTORE_SEED={seed}, {} runs with failing calls; after a failed \
         step {} went on and {} asked to be opened again",
        count(&RUNS),
        count(&WENT_ON),
        count(&REFUSED)
    );
}
