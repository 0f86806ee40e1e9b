//! The first query of a process does not wait until the machine is measured, which takes some hundred
//! times as long as itself.

use std::time::{Duration, Instant};

use vecstore::{Collection, Database, Metric, Record};

#[test]
fn plans_are_priced_by_a_usual_machine_until_this_one_is_measured() {
    const DIM: usize = 384;
    let db = Database::in_memory().expect("opens");
    let docs =
        db.create_collection("docs", Collection::options(DIM, Metric::Dot)).expect("creates");
    docs.batch_upsert((0..100u64).map(|id| Record::new(id, vec![id as f32; DIM])).collect())
        .expect("upserts");
    let query = vec![1.0; DIM];
    let priced = || {
        let (found, plan) = docs.query(&query).k(1).explain().expect("finds");
        assert_eq!(found[0].id, 99.into());
        plan.segments[0].plan.cost_us
    };
    let first = priced();
    let deadline = Instant::now() + Duration::from_secs(60);
    while priced() == first {
        assert!(Instant::now() < deadline, "it was measured before, or never");
        std::thread::sleep(Duration::from_millis(1));
    }
    // And then for good.
    let measured = priced();
    assert_eq!([priced(), priced()], [measured; 2]);
}
