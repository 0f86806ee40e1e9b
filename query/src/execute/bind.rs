//! The query bound to one view: which rows match, exactly.

use vecstore_index::roaring::RoaringBitmap;
use vecstore_segments::SegmentError;

use crate::stopwatch::Stopwatch;
use crate::{Filter, Matching, SegmentView, Stop, Unreadable, ViewStats};

pub(super) struct Bound {
    /// Rows of the view, dead ones included.
    pub(super) view_rows: u32,
    /// Live rows that match; `None` if that is all live rows.
    pub(super) rows: Option<RoaringBitmap>,
    /// How many.
    pub(super) matching: u64,
    pub(super) rows_read: u64,
    pub(super) filter_us: f64,
    pub(super) degraded: Vec<String>,
    pub(super) unreadable: Unreadable,
}

impl Bound {
    /// `stats` are those of `view`.
    pub(super) fn new(
        view: &dyn SegmentView,
        stats: &ViewStats,
        filter: Option<&Filter>,
        stop: &Stop<'_>,
    ) -> Result<Self, SegmentError> {
        let live = u64::from(stats.live);
        let watch = filter.map(|_| Stopwatch::start());
        let found = match filter {
            Some(filter) if live > 0 => view.matching(filter, stop)?,
            _ => Matching::default(),
        };
        stop.go_on()?;
        // A filter that every row passes is no filter, and no bitmap has to be carried along.
        let all = filter.is_none() || found.rows.len() == live;
        Ok(Bound {
            view_rows: stats.rows,
            matching: if all { live } else { found.rows.len() },
            rows: (!all).then_some(found.rows),
            rows_read: found.rows_read,
            filter_us: watch.map_or(0.0, Stopwatch::us),
            degraded: found.degraded,
            unreadable: found.unreadable,
        })
    }
}
