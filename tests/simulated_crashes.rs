//! A crash after every call, and what it may leave of what was not synced: the database opens, and
//! holds what was acknowledged, with or without the step that was under way, and nothing else.
//!
//! `VECSTORE_LONG=1` goes through more histories (see RELIABILITY.md).

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use vecstore::{Database, Durability, Options};
use vecstore_tests::simulation::disk::{Call, Disk, Survives};
use vecstore_tests::simulation::script::{self, Model, Step};
use vecstore_tests::simulation::world::{ROOT, World};
use vecstore_tests::{Random, is_long};

/// Draws by chance at each crash point, besides one of each other kind.
const DRAWS: usize = 3;
/// One state in so many is also written to, flushed, merged and restored from.
const GOES_ON: u64 = 16;
/// One state in so many crashes again, after every call of its recovery.
const CRASHES_AGAIN: u64 = 64;

static STATES: AtomicU64 = AtomicU64::new(0);
static POINTS: AtomicU64 = AtomicU64::new(0);
static SECOND: AtomicU64 = AtomicU64::new(0);

/// What may be there after so many calls.
struct Moment {
    calls: usize,
    states: Vec<Model>,
    /// Batches of the log when the states began to hold.
    batches: usize,
}

/// A history that was run to its end: its calls, and what may be there between them.
struct History {
    options: Options,
    calls: Vec<Call>,
    moments: Vec<Moment>,
}

impl History {
    fn run(steps: &[Step], durability: Durability) -> History {
        let options = script::options(durability);
        let world = World::new(Disk::new(Path::new(ROOT)));
        world.record();
        let mut moments = Vec::new();
        let mut moment = |world: &World, states: Vec<Model>| {
            let batches = world.disk().log().len();
            moments.push(Moment { calls: world.trace_len(), states, batches });
        };
        let mut model = Model::default();
        moment(&world, vec![model.clone()]);
        let mut db = Some(world.open(&options).unwrap());
        let first = Model::with_collection();
        moment(&world, vec![model.clone(), first.clone()]);
        script::create(db.as_ref().unwrap()).unwrap();
        model = first;
        moment(&world, vec![model.clone()]);
        for step in steps {
            let after = model.after(step);
            let under_way = [vec![model.clone()], after.clone()].concat();
            moment(&world, under_way);
            if matches!(step, Step::Reopen) {
                drop(db.take());
                db = Some(world.open(&options).unwrap());
            } else {
                let mut acknowledged = || moment(&world, vec![after.last().unwrap().clone()]);
                script::run(db.as_ref().unwrap(), &model, step, &mut acknowledged).unwrap();
            }
            model = after.last().unwrap().clone();
            moment(&world, vec![model.clone()]);
        }
        drop(db);
        History { options, calls: world.trace(), moments }
    }

    /// The states that may be found after a crash behind so many calls, if the log kept at least
    /// `synced` batches.
    fn allowed(&self, calls: usize, synced: usize) -> Vec<&Model> {
        let now = self.moments.partition_point(|moment| moment.calls <= calls) - 1;
        let mut first = now;
        if self.options.durability != Durability::Sync {
            // Back to the last moment whose batches are all synced.
            while first > 0 && self.moments[first].batches > synced {
                first -= 1;
            }
        }
        self.moments[first..=now].iter().flat_map(|moment| &moment.states).collect()
    }

    /// Crashes after every call.
    fn crash_everywhere(&self, random: &mut Random) {
        let mut disk = Disk::new(Path::new(ROOT));
        for calls in 0..=self.calls.len() {
            if calls > 0 {
                disk.apply(&self.calls[calls - 1]);
            }
            POINTS.fetch_add(1, Ordering::Relaxed);
            let allowed = self.allowed(calls, disk.log_synced());
            let mut seen = HashSet::new();
            let draws = [Survives::InOrder, Survives::AnyOrder].repeat(DRAWS);
            for survives in Survives::ALL.into_iter().chain(draws) {
                let state = disk.crash(survives, random);
                if seen.insert(state.fingerprint()) {
                    let place = || {
                        format!(
                            "crash behind call {calls} of {} ({:?}), {survives:?} survives",
                            self.calls.len(),
                            calls.checked_sub(1).map(|last| &self.calls[last])
                        )
                    };
                    self.check(state, &allowed, random, &place);
                }
            }
        }
    }

    fn check(
        &self,
        state: Disk,
        allowed: &[&Model],
        random: &mut Random,
        place: &dyn Fn() -> String,
    ) {
        STATES.fetch_add(1, Ordering::Relaxed);
        let again = random.below(CRASHES_AGAIN) == 0;
        let world = World::new(state.clone());
        if again {
            world.record();
        }
        let (db, found) = self.check_opens(&world, allowed, random, place);
        if again {
            drop(db);
            self.crash_in_recovery(state, &world.trace(), &found, random, place);
        } else if random.below(GOES_ON) == 0 {
            self.go_on(&world, db, &found, allowed, random, place);
        }
    }

    fn check_opens(
        &self,
        world: &World,
        allowed: &[&Model],
        random: &mut Random,
        place: &dyn Fn() -> String,
    ) -> (Database, Model) {
        let db = world
            .open(&self.options)
            .unwrap_or_else(|error| panic!("{}: does not open: {error}", place()));
        let found = script::read(&db)
            .unwrap_or_else(|error| panic!("{}: cannot be read: {error}", place()));
        let may_be = if self.options.durability == Durability::Sync {
            allowed.iter().any(|model| script::is(&found, model))
        } else {
            // A snapshot is durable, also where what came before it is not.
            allowed.iter().any(|model| script::has_rows(&found, model))
                && allowed.iter().any(|model| script::has_snapshot(&found, model))
        };
        assert!(may_be, "{}: found {found:?}, which is none of {allowed:?}", place());
        script::check_reads(&db, &found, random)
            .unwrap_or_else(|error| panic!("{}: cannot be searched: {error}", place()));
        let problems = db.verify().unwrap().problems;
        assert_eq!(problems, Vec::<String>::new(), "{}", place());
        (db, found)
    }

    /// What recovered is the state for good, wherever recovery itself is cut off.
    fn crash_in_recovery(
        &self,
        before: Disk,
        calls: &[Call],
        found: &Model,
        random: &mut Random,
        place: &dyn Fn() -> String,
    ) {
        let mut disk = before;
        for (at, call) in calls.iter().enumerate() {
            disk.apply(call);
            for survives in [Survives::Nothing, Survives::InOrder, Survives::AnyOrder] {
                let state = disk.crash(survives, random);
                let place =
                    || format!("{}; then behind call {at} of opening it, {survives:?}", place());
                STATES.fetch_add(1, Ordering::Relaxed);
                SECOND.fetch_add(1, Ordering::Relaxed);
                self.check_opens(&World::new(state), &[found], random, &place);
            }
        }
    }

    /// The database that was recovered is as good as any.
    fn go_on(
        &self,
        world: &World,
        db: Database,
        found: &Model,
        allowed: &[&Model],
        random: &mut Random,
        place: &dyn Fn() -> String,
    ) {
        // With relaxed durability a snapshot may be of a later moment than what was recovered.
        let same = |model: &&&Model| script::is(found, model);
        let Some(mut model) = allowed.iter().find(same).map(|model| (*model).clone()) else {
            return;
        };
        let mut steps = vec![];
        if model.rows.is_none() {
            steps.push(Step::Recreate);
        }
        let id = random.below(20);
        steps.push(Step::Upsert(0, vec![id, id + 1, id + 2]));
        steps.push(Step::Flush);
        steps.push(Step::Remove(0, vec![id + 1]));
        // While a snapshot takes the place of another, either may be found under the name.
        let one_snapshot = allowed.iter().filter(same).all(|other| other.kept == model.kept);
        let restores =
            one_snapshot && self.options.durability == Durability::Sync && random.below(2) == 0;
        steps.push(if restores { Step::Restore } else { Step::Optimize });
        for step in &steps {
            script::run(&db, &model, step, &mut || {})
                .unwrap_or_else(|error| panic!("{}; then {step:?}: {error}", place()));
            model = model.after(step).pop().unwrap();
            let found = script::read(&db).unwrap();
            assert!(script::is(&found, &model), "{}; then {step:?}: found {found:?}", place());
        }
        drop(db);
        let again = World::new(world.disk().crash(Survives::Nothing, random));
        let place = || format!("{}; then {steps:?} and a crash", place());
        // It was closed, which syncs everything.
        self.check_opens(&again, &[&model], random, &place);
    }
}

fn seed() -> u64 {
    std::env::var("VECSTORE_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1)
}

/// Goes through generated histories until there were enough states.
fn explore(durability: Durability, states: u64) {
    let seed = seed();
    let begin = STATES.load(Ordering::Relaxed);
    let mut histories = 0_u64;
    History::run(&script::each_kind_once(), durability).crash_everywhere(&mut Random::new(seed));
    while STATES.load(Ordering::Relaxed) - begin < states {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&(seed + histories).to_le_bytes());
        bytes[8] = u8::from(durability == Durability::Sync);
        let config = Config {
            cases: 1,
            failure_persistence: None,
            max_shrink_iters: 200,
            ..Config::default()
        };
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let steps = prop::collection::vec(script::step(), 4..16);
        let outcome = TestRunner::new_with_rng(config, rng).run(&steps, |steps| {
            History::run(&steps, durability).crash_everywhere(&mut Random::new(seed + histories));
            Ok(())
        });
        if let Err(failure) = outcome {
            panic!("VECSTORE_SEED={} ({durability:?}): {failure}", seed + histories);
        }
        histories += 1;
    }
    println!(
        "{durability:?}: a fixed history and {histories} from VECSTORE_SEED={seed}, {} states, {} crash \
         points so far, {} states of a second crash",
        STATES.load(Ordering::Relaxed) - begin,
        POINTS.load(Ordering::Relaxed),
        SECOND.load(Ordering::Relaxed)
    );
}

#[test]
fn a_crash_after_every_call_loses_nothing_acknowledged() {
    let states = if is_long() { 1_000_000 } else { 40_000 };
    explore(Durability::Sync, states);
    explore(Durability::None, states / 10);
}
