//! Changes of payload in place.

use serde_json::{Map, Value};
use vecstore::RecordId;

use super::fields::{Fields, point_ids};
use super::{Asked, completed, filter, payload};
use crate::ids::JsonId;
use crate::service::model::{Get, Id};
use crate::service::{Problem, Result};

type Payload = Map<String, Value>;

/// Sets the fields that are given; null removes one.
pub(super) async fn set(mut asked: Asked) -> Result<Value> {
    let given: Payload = asked.fields.require("payload")?;
    change(asked, move |payload| {
        for (name, value) in &given {
            match value {
                Value::Null => drop(payload.remove(name)),
                value => drop(payload.insert(name.clone(), value.clone())),
            }
        }
    })
    .await
}

/// Puts a payload in the place of what is there.
pub(super) async fn overwrite(mut asked: Asked) -> Result<Value> {
    let given: Payload = asked.fields.require("payload")?;
    change(asked, move |payload| payload.clone_from(&given)).await
}

/// Removes fields.
pub(super) async fn delete(mut asked: Asked) -> Result<Value> {
    let keys = payload::paths(asked.fields.require("keys")?, "keys")?;
    change(asked, move |payload| keys.iter().for_each(|key| payload::remove(payload, key))).await
}

/// Removes all fields.
pub(super) async fn clear(asked: Asked) -> Result<Value> {
    change(asked, Map::clear).await
}

/// Points by id, or by a filter; one without conditions holds for every point.
pub(super) fn selector(fields: &mut Fields) -> Result<(Option<Vec<Id>>, Option<String>)> {
    let ids = fields.read("points")?.map(|ids| point_ids(ids, "points")).transpose()?;
    let given = fields.has("filter");
    let filter = filter::expression(fields.object("filter")?)?;
    Ok((ids, filter.or_else(|| given.then(|| EVERYTHING.to_owned()))))
}

/// Holds for every record: two-valued logic makes one of the two true.
const EVERYTHING: &str = "EXISTS x OR NOT EXISTS x";

async fn change(mut asked: Asked, change: impl Fn(&mut Payload) + Send + 'static) -> Result<Value> {
    let of = selector(&mut asked.fields)?;
    asked.fields.finish()?;
    let mut wanted: Vec<RecordId> = of.0.iter().flatten().map(|id| id.0.clone()).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let (service, call) = (&asked.service, &asked.call);
    let done = service.change(call, asked.collection.clone(), of, change).await?;
    if done.updated < wanted.len() as u64 {
        // The others are changed; the first one that is not there is told.
        let ids = wanted.iter().cloned().map(Id).collect();
        let get = Get { ids, namespace: String::new(), include: Some(Vec::new()) };
        let found = service.get(call, asked.collection, get).await?.records;
        if let Some((id, _)) = wanted.iter().zip(found).find(|(_, found)| found.is_none()) {
            let id = serde_json::json!(JsonId(id));
            return Err(Problem::not_found(format!("Not found: No point with id {id} found")));
        }
    }
    Ok(completed())
}
