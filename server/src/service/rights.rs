//! Who may do what, and the database as far as a call may use it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use vecstore::{Collection, Database};

use super::call::Call;
use super::limits::{Limiter, Permit};
use super::operation::{Operation, Right};
use super::problem::{Kind, Problem, Result};

/// What the holder of a key or a token may do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rights {
    /// On everything: all collections, snapshots, the server.
    pub(crate) all: Option<Right>,
    /// On single collections, besides.
    pub(crate) collections: BTreeMap<String, Right>,
    /// When they end.
    pub(crate) until: Option<SystemTime>,
}

impl Rights {
    /// On everything, for ever.
    pub(crate) fn on_all(right: Right) -> Self {
        Rights { all: Some(right), ..Rights::default() }
    }

    /// On some collections, for ever.
    pub(crate) fn on(collections: impl IntoIterator<Item = String>, right: Right) -> Self {
        let collections = collections.into_iter().map(|name| (name, right)).collect();
        Rights { collections, ..Rights::default() }
    }

    /// What either of the two allows.
    pub(crate) fn or(mut self, other: Rights) -> Self {
        self.all = self.all.max(other.all);
        for (name, right) in other.collections {
            let mine = self.collections.entry(name).or_insert(right);
            *mine = right.max(*mine);
        }
        self
    }

    /// What is allowed on a collection, whether or not there is one of this name.
    fn of(&self, collection: &str) -> Option<Right> {
        self.all.max(self.collections.get(collection).copied())
    }

    /// Refuses an operation that is not allowed on any collection, before its body is read.
    pub(crate) fn check_any(&self, operation: Operation) -> Result<()> {
        let most = self.collections.values().copied().max().max(self.all);
        self.check(operation, most, "")
    }

    fn check(&self, operation: Operation, allowed: Option<Right>, place: &str) -> Result<()> {
        if self.until.is_some_and(|until| until <= SystemTime::now()) {
            return Err(Problem::new(Kind::Unauthenticated, "the token has expired"));
        }
        let needed = operation.right();
        if allowed >= Some(needed) {
            return Ok(());
        }
        let name = operation.name();
        let message = match allowed {
            Some(_) => format!("this key allows reading only{place}; `{name}` writes"),
            None => format!("this key does not allow `{name}`{place}"),
        };
        Err(Problem::new(Kind::PermissionDenied, message))
    }
}

/// The database as far as a call may use it. The engine is reached through this alone, so no
/// operation can forget to ask.
#[derive(Debug)]
pub(super) struct Reach {
    db: Database,
    rights: Arc<Rights>,
    operation: Operation,
    follows: bool,
    namespaces: Arc<Limiter>,
    /// Places in the namespaces that are used, until the work is done.
    permits: RefCell<Vec<Permit>>,
}

impl Reach {
    pub(super) fn new(db: &Database, namespaces: &Arc<Limiter>, call: &Call) -> Self {
        Reach {
            db: db.clone(),
            rights: Arc::clone(&call.rights),
            operation: call.operation,
            follows: call.follows,
            namespaces: Arc::clone(namespaces),
            permits: RefCell::default(),
        }
    }

    /// A collection. Who may not use it is not told whether it exists.
    pub(super) fn collection(&self, name: &str) -> Result<Collection> {
        self.check(Some(name))?;
        Ok(self.db.collection(name)?)
    }

    /// A namespace of a collection, if it has not used up what is allowed to it.
    pub(super) fn namespace(&self, collection: &str, namespace: &str) -> Result<Collection> {
        let docs = self.collection(collection)?.namespace(namespace)?;
        if !self.follows {
            let name = format!("{collection}/{namespace}").into();
            self.permits.borrow_mut().extend(self.namespaces.enter(&name)?);
        }
        Ok(docs)
    }

    /// The names of the collections that can be used.
    pub(super) fn collections(&self) -> Result<Vec<String>> {
        let mut names = self.db.collections()?;
        names.retain(|name| self.sees(Some(name)));
        Ok(names)
    }

    /// Everything: for what concerns more than the content of one collection.
    pub(super) fn whole(&self) -> Result<&Database> {
        self.check(None)?;
        Ok(&self.db)
    }

    /// Refuses who may not do this with a collection, or with everything.
    pub(super) fn check(&self, collection: Option<&str>) -> Result<()> {
        match collection {
            Some(name) => {
                let place = format!(" on collection `{name}`");
                self.rights.check(self.operation, self.rights.of(name), &place)
            }
            None => self.rights.check(self.operation, self.rights.all, " on the whole database"),
        }
    }

    /// Whether something about a collection, or everything, is shown.
    pub(super) fn sees(&self, collection: Option<&str>) -> bool {
        let allowed = collection.map_or(self.rights.all, |name| self.rights.of(name));
        allowed.is_some()
    }

    /// The database for a task on a collection, or on everything.
    pub(super) fn for_task(&self, collection: Option<&str>) -> Result<Database> {
        match collection {
            Some(name) => drop(self.collection(name)?),
            None => self.check(None)?,
        }
        Ok(self.db.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn rights_end_in_the_middle_of_a_stream() {
        let ends = |until| Rights { until: Some(until), ..Rights::on_all(Right::Write) };
        let (now, hour) = (SystemTime::now(), Duration::from_secs(3600));
        assert!(ends(now + hour).check_any(Operation::Upsert).is_ok());
        let refused = ends(now - hour).check_any(Operation::Upsert).unwrap_err();
        assert_eq!(refused.kind, Kind::Unauthenticated);
    }

    #[test]
    fn two_keys_of_one_name_allow_what_either_does() {
        let of = |name: &str, right| Rights::on([name.to_owned()], right);
        let both = of("a", Right::Read).or(of("a", Right::Write)).or(of("b", Right::Read));
        assert_eq!(both.of("a"), Some(Right::Write));
        assert_eq!(both.of("b"), Some(Right::Read));
        assert_eq!(both.of("c"), None);
        assert_eq!(both.or(Rights::on_all(Right::Read)).of("c"), Some(Right::Read));
    }
}
