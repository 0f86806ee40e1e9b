//! The order of a scroll, and a place in it.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use vecstore_query::{FieldOrder, OrderKey, Value};
use vecstore_segments::{FieldPath, RecordId};

use crate::Error;

/// By a field and then by id, or by id alone, which is the order in which all keys are the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Order(pub(crate) Option<FieldOrder>);

impl Order {
    pub(crate) fn compare_keys(&self, a: &OrderKey, b: &OrderKey) -> Ordering {
        self.0.as_ref().map_or(Ordering::Equal, |order| order.compare(a, b))
    }

    pub(super) fn compare(&self, a: (&OrderKey, &RecordId), b: (&OrderKey, &RecordId)) -> Ordering {
        self.compare_keys(a.0, b.0).then_with(|| a.1.cmp(b.1))
    }
}

/// A place in a scroll: behind the last record of a page. It names the record's value and id, not a
/// position, so it stays good while records are written and removed.
///
/// As text it is a JSON object; what is in it is nobody's business but the scroll's.
///
/// ```
/// # use vecstore::{Collection, Database, Metric, Record};
/// # fn main() -> vecstore::Result<()> {
/// # let db = Database::in_memory()?;
/// # let docs = db.create_collection("docs", Collection::options(1, Metric::Dot))?;
/// # docs.batch_upsert(vec![Record::new(1, [1.0]), Record::new(2, [1.0])])?;
/// let page = docs.scroll().order_by("year").limit(1).run()?;
/// let text = page.cursor.unwrap().to_string();
/// let rest = docs.scroll().order_by("year").resume(text.parse()?).run()?;
/// assert_eq!(rest.records[0].id, 2.into());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Cursor {
    pub(super) order: Order,
    pub(super) key: OrderKey,
    pub(super) id: RecordId,
}

/// What a cursor is as text.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    descending: bool,
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    value: serde_json::Value,
    id: TextId,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TextId {
    U64(u64),
    Uuid(String),
    Str(String),
}

impl Cursor {
    /// Behind the record `id` in the order of ids.
    pub(super) fn after_id(id: RecordId) -> Self {
        Cursor { order: Order::default(), key: OrderKey::default(), id }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = self.order.0.as_ref();
        let text = Text {
            by: order.map(|order| order.path.names().to_vec()),
            descending: order.is_some_and(|order| order.descending),
            value: crate::facet::json(self.key.value()),
            id: match &self.id {
                RecordId::U64(id) => TextId::U64(*id),
                RecordId::Uuid(id) => TextId::Uuid(id.to_string()),
                RecordId::Str(id) => TextId::Str(id.to_string()),
            },
        };
        f.write_str(&serde_json::to_string(&text).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refused = |why: String| {
            Error::invalid(format!("this is no cursor of a scroll: {why}")).about("resume")
        };
        let text: Text = serde_json::from_str(text).map_err(|error| refused(error.to_string()))?;
        let id = match text.id {
            TextId::U64(id) => RecordId::U64(id),
            TextId::Uuid(id) => match id.parse() {
                Ok(id @ RecordId::Uuid(_)) => id,
                _ => return Err(refused(format!("`{id}` is no UUID"))),
            },
            TextId::Str(id) => RecordId::from(id),
        };
        id.validate().map_err(|error| refused(error.to_string()))?;
        let value = match text.value {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(value) => Value::Bool(value),
            serde_json::Value::String(value) => Value::Str(value),
            serde_json::Value::Number(value) => match (value.as_i64(), value.as_f64()) {
                (Some(value), _) => Value::Int(value),
                (None, Some(value)) => Value::Float(value),
                (None, None) => return Err(refused(format!("`{value}` is no number"))),
            },
            other => return Err(refused(format!("`{other}` is no value to order by"))),
        };
        let order = text
            .by
            .map(|names| FieldOrder { path: FieldPath::new(names), descending: text.descending });
        Ok(Cursor { order: Order(order), key: OrderKey::new(&value), id })
    }
}
