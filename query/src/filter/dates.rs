//! Strings that are dates because of the field they are compared with.

use vecstore_segments::FieldPath;

use super::rules::date;
use super::{Filter, FilterFieldError, Value};

impl Filter {
    /// The filter with the strings as dates that are compared with a field for which `is_date`
    /// holds: after `=`, `!=`, `<`, `<=`, `>`, `>=`, in lists and as the ends of `BETWEEN`. `CONTAINS`,
    /// `STARTSWITH` and `LIKE` look at the text of any field.
    ///
    /// # Errors
    /// If such a string is not a date.
    pub fn with_dates(
        self,
        is_date: &dyn Fn(&FieldPath) -> bool,
    ) -> Result<Filter, FilterFieldError> {
        let of_parts = |parts: Vec<Filter>| {
            parts.into_iter().map(|part| part.with_dates(is_date)).collect::<Result<Vec<_>, _>>()
        };
        Ok(match self {
            Filter::And(parts) => Filter::And(of_parts(parts)?),
            Filter::Or(parts) => Filter::Or(of_parts(parts)?),
            Filter::Not(part) => Filter::Not(Box::new(part.with_dates(is_date)?)),
            Filter::Compare(path, comparison, value) if is_date(&path) => {
                let value = as_date(value, &path)?;
                Filter::Compare(path, comparison, value)
            }
            Filter::In(path, values) if is_date(&path) => {
                let values = values.into_iter().map(|value| as_date(value, &path));
                let values = values.collect::<Result<_, _>>()?;
                Filter::In(path, values)
            }
            Filter::Between(path, low, high) if is_date(&path) => {
                let (low, high) = (as_date(low, &path)?, as_date(high, &path)?);
                Filter::Between(path, low, high)
            }
            other => other,
        })
    }
}

fn as_date(value: Value, path: &FieldPath) -> Result<Value, FilterFieldError> {
    match value {
        Value::Str(text) => date(&text)
            .map(Value::Date)
            .map_err(|problem| FilterFieldError { path: path.clone(), problem }),
        other => Ok(other),
    }
}
