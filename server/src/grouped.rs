//! The nearest records of each value of a field.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use vecstore::{Query, RecordId};

use crate::include::Shown;
use crate::records::ShownRecord;

/// Groups, those with the best hits first.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Groups {
    pub(crate) groups: Vec<ShownGroup>,
    /// False if records may be missing because their bytes are damaged.
    pub(crate) complete: bool,
    /// What was done for it, in order.
    pub(crate) steps: Vec<String>,
}

/// The nearest records of one value, best first.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ShownGroup {
    pub(crate) value: Value,
    pub(crate) hits: Vec<ShownRecord>,
}

/// Runs a grouped query. The record that it was asked with takes a place in its own groups, which
/// are therefore made one larger, and is left out.
pub(crate) fn run(
    query: Query<'_>,
    field: &str,
    size: usize,
    like: Option<&RecordId>,
    shown: &Shown,
) -> vecstore::Result<Groups> {
    let asked_size = size.saturating_add(usize::from(like.is_some() && size > 0));
    let result = query.group_by(field).group_size(asked_size).run()?;
    let groups = (result.groups.into_iter())
        .map(|group| ShownGroup {
            value: group.value,
            hits: (group.hits.into_iter())
                .filter(|hit| like != Some(&hit.id))
                .take(size)
                .map(|hit| ShownRecord::hit(hit, shown))
                .collect(),
        })
        .filter(|group| !group.hits.is_empty())
        .collect();
    Ok(Groups { groups, complete: result.complete, steps: result.steps })
}
