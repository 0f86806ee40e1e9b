//! Collections and snapshots.

use vecstore::{CollectionOptions, ErrorKind, Metric, SnapshotInfo};

use super::model::{
    CollectionInfo, Collections, CreateCollection, CreatedCollection, NamespaceInfo, Namespaces,
    Snapshot, Snapshots,
};
use super::{Call, Problem, Reach, Result, Service};

impl Service {
    pub(crate) async fn create_collection(
        &self,
        call: &Call,
        name: String,
        request: CreateCollection,
    ) -> Result<CreatedCollection> {
        self.write(call, 1, move |db| {
            let metric = request
                .metric
                .parse()
                .map_err(|e: vecstore::UnknownMetric| Problem::invalid("metric", e.to_string()))?;
            let mut options = CollectionOptions::new(request.dim, metric);
            if let Some(m) = request.m {
                options = options.m(m);
            }
            if let Some(ef_construction) = request.ef_construction {
                options = options.ef_construction(ef_construction);
            }
            match db.whole()?.create_collection(&name, options.clone()) {
                Ok(_) => Ok(CreatedCollection { created: true, collection: info(db, &name)? }),
                Err(error)
                    if request.if_not_exists
                        && error.kind() == ErrorKind::AlreadyExists
                        && *db.collection(&name)?.settings() == options =>
                {
                    Ok(CreatedCollection { created: false, collection: info(db, &name)? })
                }
                Err(error) => Err(error.into()),
            }
        })
        .await
    }

    /// How a collection compares vectors. Only looks a name up, so it needs no slot.
    pub(crate) fn metric(&self, call: &Call, name: &str) -> Result<Metric> {
        Ok(self.reach(call).collection(name)?.settings().metric())
    }

    pub(crate) async fn collection(&self, call: &Call, name: String) -> Result<CollectionInfo> {
        self.inspect(call, move |db| info(db, &name)).await
    }

    pub(crate) async fn collections(&self, call: &Call) -> Result<Collections> {
        self.inspect(call, |db| {
            let mut collections = Vec::new();
            for name in db.collections()? {
                match info(db, &name) {
                    Ok(info) => collections.push(info),
                    // Dropped since the names were read.
                    Err(problem) if problem.kind == super::Kind::Engine(ErrorKind::NotFound) => {}
                    Err(problem) => return Err(problem),
                }
            }
            Ok(Collections { collections })
        })
        .await
    }

    pub(crate) async fn drop_collection(&self, call: &Call, name: String) -> Result<()> {
        self.write(call, 1, move |db| Ok(db.whole()?.drop_collection(&name)?)).await
    }

    pub(crate) async fn namespaces(&self, call: &Call, name: String) -> Result<Namespaces> {
        self.inspect(call, move |db| {
            let all = db.collection(&name)?.namespaces()?;
            let namespaces =
                all.into_iter().map(|(name, records)| NamespaceInfo { name, records }).collect();
            Ok(Namespaces { namespaces })
        })
        .await
    }

    pub(crate) async fn create_snapshot(&self, call: &Call, name: String) -> Result<Snapshot> {
        self.write(call, 1, move |db| Ok(db.whole()?.create_snapshot(&name)?.into())).await
    }

    pub(crate) async fn snapshots(&self, call: &Call) -> Result<Snapshots> {
        self.inspect(call, |db| {
            let snapshots = db.whole()?.list_snapshots()?.into_iter().map(Snapshot::from).collect();
            Ok(Snapshots { snapshots })
        })
        .await
    }

    pub(crate) async fn restore_snapshot(&self, call: &Call, name: String) -> Result<()> {
        self.write(call, 1, move |db| Ok(db.whole()?.restore_snapshot(&name)?)).await
    }

    pub(crate) async fn remove_snapshot(&self, call: &Call, name: String) -> Result<()> {
        self.write(call, 1, move |db| Ok(db.whole()?.remove_snapshot(&name)?)).await
    }
}

fn info(db: &Reach, name: &str) -> Result<CollectionInfo> {
    let collection = db.collection(name)?;
    let settings = collection.settings();
    let records = collection.namespaces()?.iter().map(|(_, records)| records).sum();
    Ok(CollectionInfo {
        name: name.to_owned(),
        dim: settings.dim(),
        metric: settings.metric().name().to_owned(),
        m: settings.graph_m(),
        ef_construction: settings.graph_ef_construction(),
        records,
    })
}

impl From<SnapshotInfo> for Snapshot {
    fn from(info: SnapshotInfo) -> Self {
        Snapshot {
            name: info.name,
            created_unix_ms: info.created_unix_ms,
            seq: info.seq,
            collections: info.collections,
            records: info.records,
            segments: info.segments,
            bytes: info.bytes,
        }
    }
}
