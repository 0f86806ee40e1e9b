//! Collections and snapshots.

use vecstore::{Codes, CollectionOptions, Error, ErrorKind, Metric, Precision, SnapshotInfo};

use super::model::{
    CollectionInfo, Collections, CreateCollection, CreatedCollection, NamespaceInfo, Namespaces,
    Quota, SetQuota, Snapshot, Snapshots,
};
use super::{Call, Problem, Reach, Result, Service, target};

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
            if let Some(index) = &request.index {
                options = options.index(index.parse()?);
            }
            if let Some(precision) = &request.precision {
                let precision = precision.parse::<Precision>().map_err(Error::from)?;
                options = options.precision(precision);
            }
            if let Some(codes) = &request.codes {
                options = options.codes(codes.parse::<Codes>().map_err(Error::from)?);
            }
            options =
                request.unindexed.iter().fold(options, |options, field| options.unindexed(field));
            options = request.dates.iter().fold(options, |options, field| options.date(field));
            if let Some(most) = request.fields_max {
                options = options.fields_max(most);
            }
            if let Some(most) = request.strings_max {
                options = options.strings_max(most);
            }
            if let Some(most) = request.string_bytes_max {
                options = options.string_bytes_max(most);
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
            let all = db.collection(&name)?.list_namespaces()?.into_iter();
            let shown = |n: vecstore::NamespaceInfo| NamespaceInfo {
                name: n.name,
                records: n.records,
                bytes: n.bytes,
            };
            Ok(Namespaces { namespaces: all.map(shown).collect() })
        })
        .await
    }

    /// The quota of a namespace, or that of the collection.
    pub(crate) async fn quota(
        &self,
        call: &Call,
        name: String,
        namespace: Option<String>,
    ) -> Result<Quota> {
        self.inspect(call, move |db| {
            let quota = match namespace {
                Some(namespace) => target(db, &name, &namespace)?.namespace_quota()?,
                None => db.collection(&name)?.quota()?,
            };
            Ok(quota.into())
        })
        .await
    }

    /// Sets a quota; answered when it is durable. Who may only use a collection can't change how
    /// much.
    pub(crate) async fn set_quota(
        &self,
        call: &Call,
        name: String,
        request: SetQuota,
    ) -> Result<Quota> {
        self.write(call, 1, move |db| {
            let quota = vecstore::Quota::from(request.quota.clone());
            let docs = db.whole()?.collection(&name)?;
            match request.namespace {
                Some(namespace) => docs.namespace(&namespace)?.set_namespace_quota(quota)?,
                None => docs.set_quota(quota)?,
            }
            Ok(request.quota)
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
        index: settings.index_option().name().to_owned(),
        precision: settings.vector_precision().name().to_owned(),
        codes: settings.kept_codes().name().to_owned(),
        unindexed: settings.unindexed_fields().map(str::to_owned).collect(),
        dates: settings.date_fields().map(str::to_owned).collect(),
        records,
    })
}

impl From<vecstore::Quota> for Quota {
    fn from(quota: vecstore::Quota) -> Self {
        let vecstore::Quota { records, bytes, batch_records, results } = quota;
        Quota { records, bytes, batch_records, results }
    }
}

impl From<Quota> for vecstore::Quota {
    fn from(quota: Quota) -> Self {
        let Quota { records, bytes, batch_records, results } = quota;
        vecstore::Quota { records, bytes, batch_records, results }
    }
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
