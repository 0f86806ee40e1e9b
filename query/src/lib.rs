//! The filter language, the planner, and the execution of a query over segment views.

mod costs;
mod execute;
mod explain;
mod filter;
mod nearest;
mod numbering;
mod order;
mod plan;
mod request;
mod sealed;
mod stop;
mod stopwatch;
mod values;
mod view;

pub use costs::Costs;
pub use execute::{AlternativeRun, Answer, ComparedSegment, Hit, compare, run, run_until};
pub use explain::{ExecutedPlan, ExecutedSegment};
pub use filter::{
    Comparison, Compiled, FILTER_BYTES_MAX, FILTER_DEPTH_MAX, Field, Filter, FilterError,
    FilterErrorKind, FilterFieldError, FilterJsonError, Matcher, Orderable, Params, Value, compile,
    field,
};
pub use order::{FieldOrder, OrderKey};
pub use plan::{Alternative, Plan, SegmentPlan, Strategy, plan};
pub use request::{Effort, Request};
pub use sealed::SealedView;
pub use stop::Stop;
pub use values::{RowValues, ValueCounts};
pub use view::{
    ClusterStats, Matching, PreparedQuery, SegmentView, Unreadable, ViewKind, ViewStats,
};
