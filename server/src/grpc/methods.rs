//! The methods of the service.

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::streams::{Answers, each};
use super::{convert, proto, status};
use crate::service::model::{
    Count, CreateCollection, Facet, Get, Id, Query, QueryBatch, QueryGroups, Remove, Scroll,
    SearchOptions, SetQuota, Update, Upsert, cosine,
};
use crate::service::{Call, Problem, Result as Done, Service};

type Answer<T> = Result<Response<T>, Status>;

/// Pages of a stream that may wait for the reader.
const STREAM_AHEAD: usize = 2;

/// Translates and passes on.
pub(super) struct Methods {
    service: Service,
}

impl Methods {
    pub(super) fn new(service: Service) -> Self {
        Methods { service }
    }
}

/// The message and what the front found out about the request.
fn open<T>(request: Request<T>) -> Result<(Call, T), Status> {
    match request.extensions().get::<Call>() {
        Some(call) => Ok((call.clone(), request.into_inner())),
        None => Err(Status::internal("the request did not come through the front")),
    }
}

/// Hands an outcome back.
fn close<T>(done: Done<T>) -> Answer<T> {
    done.map(Response::new).map_err(|problem| status(&problem))
}

fn upsert(message: proto::UpsertRequest) -> Done<(String, Upsert)> {
    let records = message.records.into_iter().enumerate();
    let records =
        records.map(|(at, record)| convert::record(record, at)).collect::<Done<Vec<_>>>()?;
    Ok((message.collection, Upsert { records, namespace: message.namespace }))
}

fn query(message: proto::QueryRequest) -> Done<(String, Query)> {
    let SearchOptions { k, filter, params, ef, recall, exact, score_threshold, include, namespace } =
        convert::options(message.options, message.namespace)?;
    let (vector, like) = nearest_to(message.vector, message.like)?;
    let query = Query {
        vector,
        like,
        explain: message.explain,
        k,
        filter,
        params,
        ef,
        recall,
        exact,
        score_threshold,
        include,
        namespace,
    };
    Ok((message.collection, query))
}

/// A vector, or the id of a record that has it.
fn nearest_to(
    vector: Option<proto::Vector>,
    like: Option<proto::RecordId>,
) -> Done<(Option<Vec<f32>>, Option<Id>)> {
    let vector = vector.map(|vector| convert::vector(Some(vector), "vector")).transpose()?;
    let like = like.map(|id| convert::id(Some(id), "like")).transpose()?;
    Ok((vector, like))
}

/// A list of ids that is empty can't be told from one that was not sent.
fn chosen_ids(ids: Vec<proto::RecordId>, filtered: bool) -> Done<Option<Vec<Id>>> {
    let ids = convert::ids(ids)?;
    Ok((!ids.is_empty() || !filtered).then_some(ids))
}

fn scroll(message: proto::ScrollRequest) -> Done<(String, Scroll)> {
    let (filter, params) = convert::filter(message.filter)?;
    let after = match message.after {
        Some(id) => Some(convert::id(Some(id), "after")?),
        None => None,
    };
    let scroll = Scroll {
        filter,
        params,
        limit: convert::size(message.limit),
        order_by: message.order_by,
        descending: message.descending,
        after,
        resume: message.resume,
        include: convert::include(message.include),
        namespace: message.namespace,
    };
    Ok((message.collection, scroll))
}

async fn upserted(
    service: &Service,
    call: &Call,
    message: proto::UpsertRequest,
) -> Done<proto::UpsertResponse> {
    let (collection, request) = upsert(message)?;
    let done = service.upsert(call, collection, request).await?;
    Ok(proto::UpsertResponse { seq: done.seq, records: done.records })
}

/// Answers queries that came together, as far as the first that can't be read.
async fn queried(
    service: &Service,
    messages: Vec<(Call, proto::QueryRequest)>,
) -> Vec<Done<proto::QueryResponse>> {
    let mut requests = Vec::with_capacity(messages.len());
    let mut failure = None;
    for (call, message) in messages {
        match query(message) {
            Ok((collection, request)) => requests.push((call, collection, request)),
            Err(problem) => {
                failure = Some(Err(problem));
                break;
            }
        }
    }
    let answered = match requests.is_empty() {
        true => Vec::new(),
        false => service.queries(requests).await,
    };
    let answered = answered.into_iter().map(|answer| answer.map(convert::answer_message));
    answered.chain(failure).collect()
}

#[tonic::async_trait]
impl proto::vec_store_server::VecStore for Methods {
    async fn create_collection(
        &self,
        request: Request<proto::CreateCollectionRequest>,
    ) -> Answer<proto::CreateCollectionResponse> {
        let (call, message) = open(request)?;
        let create = CreateCollection {
            dim: message.dim as usize,
            metric: if message.metric.is_empty() { cosine() } else { message.metric },
            m: convert::size(message.m),
            ef_construction: convert::size(message.ef_construction),
            index: (!message.index.is_empty()).then_some(message.index),
            precision: (!message.precision.is_empty()).then_some(message.precision),
            codes: (!message.codes.is_empty()).then_some(message.codes),
            unindexed: message.unindexed,
            dates: message.dates,
            fields_max: convert::size(message.fields_max),
            strings_max: convert::size(message.strings_max),
            string_bytes_max: convert::size(message.string_bytes_max),
            if_not_exists: message.if_not_exists,
        };
        let done = self.service.create_collection(&call, message.name, create).await;
        close(done.map(|done| proto::CreateCollectionResponse {
            created: done.created,
            collection: Some(convert::collection_message(done.collection)),
        }))
    }

    async fn get_collection(
        &self,
        request: Request<proto::GetCollectionRequest>,
    ) -> Answer<proto::CollectionInfo> {
        let (call, message) = open(request)?;
        let done = self.service.collection(&call, message.name).await;
        close(done.map(convert::collection_message))
    }

    async fn list_collections(
        &self,
        request: Request<proto::ListCollectionsRequest>,
    ) -> Answer<proto::ListCollectionsResponse> {
        let (call, _) = open(request)?;
        let done = self.service.collections(&call).await;
        close(done.map(|all| proto::ListCollectionsResponse {
            collections: all.collections.into_iter().map(convert::collection_message).collect(),
        }))
    }

    async fn drop_collection(
        &self,
        request: Request<proto::DropCollectionRequest>,
    ) -> Answer<proto::DropCollectionResponse> {
        let (call, message) = open(request)?;
        let done = self.service.drop_collection(&call, message.name).await;
        close(done.map(|()| proto::DropCollectionResponse {}))
    }

    async fn list_namespaces(
        &self,
        request: Request<proto::ListNamespacesRequest>,
    ) -> Answer<proto::ListNamespacesResponse> {
        let (call, message) = open(request)?;
        let done = self.service.namespaces(&call, message.collection).await;
        close(done.map(|all| {
            proto::ListNamespacesResponse {
                namespaces: all
                    .namespaces
                    .into_iter()
                    .map(|n| proto::Namespace { name: n.name, records: n.records, bytes: n.bytes })
                    .collect(),
            }
        }))
    }

    async fn upsert(
        &self,
        request: Request<proto::UpsertRequest>,
    ) -> Answer<proto::UpsertResponse> {
        let (call, message) = open(request)?;
        close(upserted(&self.service, &call, message).await)
    }

    type UpsertStreamStream = Answers<proto::UpsertResponse>;

    async fn upsert_stream(
        &self,
        request: Request<Streaming<proto::UpsertRequest>>,
    ) -> Answer<Self::UpsertStreamStream> {
        let (call, messages) = open(request)?;
        let service = self.service.clone();
        // One at a time: after a failure nothing more is stored.
        let one = || 1;
        Ok(each(&call, messages, one, move |messages| {
            let service = service.clone();
            async move {
                let mut done = Vec::with_capacity(messages.len());
                for (call, message) in messages {
                    done.push(upserted(&service, &call, message).await);
                }
                done
            }
        }))
    }

    async fn get(&self, request: Request<proto::GetRequest>) -> Answer<proto::GetResponse> {
        let (call, message) = open(request)?;
        let done = async {
            let get = Get {
                ids: convert::ids(message.ids)?,
                namespace: message.namespace,
                include: convert::include(message.include),
            };
            let got = self.service.get(&call, message.collection, get).await?;
            let record = |record: Option<_>| proto::MaybeRecord {
                record: record.map(convert::stored_message),
            };
            Ok(proto::GetResponse { records: got.records.into_iter().map(record).collect() })
        };
        close(done.await)
    }

    async fn remove(
        &self,
        request: Request<proto::RemoveRequest>,
    ) -> Answer<proto::RemoveResponse> {
        let (call, message) = open(request)?;
        let done = async {
            let ids = chosen_ids(message.ids, message.filter.is_some())?;
            let (filter, params) = convert::filter(message.filter)?;
            let remove = Remove { ids, filter, params, namespace: message.namespace };
            let done = self.service.remove(&call, message.collection, remove).await?;
            Ok(proto::RemoveResponse { removed: done.removed })
        };
        close(done.await)
    }

    async fn update(
        &self,
        request: Request<proto::UpdateRequest>,
    ) -> Answer<proto::UpdateResponse> {
        let (call, message) = open(request)?;
        let done = async {
            let ids = chosen_ids(message.ids, message.filter.is_some())?;
            let (filter, params) = convert::filter(message.filter)?;
            let update = Update {
                patch: convert::object(message.patch.unwrap_or_default(), "patch")?,
                ids,
                filter,
                params,
                namespace: message.namespace,
            };
            let done = self.service.update(&call, message.collection, update).await?;
            Ok(proto::UpdateResponse { updated: done.updated })
        };
        close(done.await)
    }

    async fn remove_namespace(
        &self,
        request: Request<proto::RemoveNamespaceRequest>,
    ) -> Answer<proto::RemoveResponse> {
        let (call, message) = open(request)?;
        let (collection, namespace) = (message.collection, message.namespace);
        let done = self.service.remove_namespace(&call, collection, namespace).await;
        close(done.map(|done| proto::RemoveResponse { removed: done.removed }))
    }

    async fn get_quota(&self, request: Request<proto::GetQuotaRequest>) -> Answer<proto::Quota> {
        let (call, message) = open(request)?;
        let done = self.service.quota(&call, message.collection, message.namespace).await;
        close(done.map(convert::quota_message))
    }

    async fn set_quota(&self, request: Request<proto::SetQuotaRequest>) -> Answer<proto::Quota> {
        let (call, message) = open(request)?;
        let done = async {
            let quota = message
                .quota
                .ok_or_else(|| Problem::invalid("quota", "quota: the message is missing"))?;
            let set = SetQuota { namespace: message.namespace, quota: convert::quota(quota) };
            self.service.set_quota(&call, message.collection, set).await
        };
        close(done.await.map(convert::quota_message))
    }

    async fn scroll(
        &self,
        request: Request<proto::ScrollRequest>,
    ) -> Answer<proto::ScrollResponse> {
        let (call, message) = open(request)?;
        let done = async {
            let (collection, request) = scroll(message)?;
            Ok(convert::page_message(self.service.scroll(&call, collection, request).await?))
        };
        close(done.await)
    }

    type ScrollStreamStream = Answers<proto::ScrollResponse>;

    async fn scroll_stream(
        &self,
        request: Request<proto::ScrollRequest>,
    ) -> Answer<Self::ScrollStreamStream> {
        let (call, message) = open(request)?;
        let begin = async {
            let (collection, request) = scroll(message)?;
            let mut pages = self.service.pages(&call, collection, request)?;
            // A wrong request is answered as such, not in the stream.
            let first = pages.next().await?;
            Ok((pages, first))
        };
        let (mut pages, first) = begin.await.map_err(|problem| status(&problem))?;
        let (answers, receiver) = mpsc::channel(STREAM_AHEAD);
        tokio::spawn(async move {
            let mut page = Ok(first);
            loop {
                let answer = match page {
                    Ok(Some(page)) => Ok(convert::page_message(page)),
                    Ok(None) => return,
                    Err(problem) => Err(status(&problem)),
                };
                let failure = answer.is_err();
                if answers.send(answer).await.is_err() || failure {
                    return;
                }
                page = pages.next().await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn count(&self, request: Request<proto::CountRequest>) -> Answer<proto::CountResponse> {
        let (call, message) = open(request)?;
        let done = async {
            let (filter, params) = convert::filter(message.filter)?;
            let count = Count { filter, params, namespace: message.namespace };
            let counted = self.service.count(&call, message.collection, count).await?;
            Ok(proto::CountResponse { count: counted.count })
        };
        close(done.await)
    }

    async fn facet(&self, request: Request<proto::FacetRequest>) -> Answer<proto::FacetResponse> {
        let (call, message) = open(request)?;
        let done = async {
            let (filter, params) = convert::filter(message.filter)?;
            let facet = Facet {
                field: message.field,
                filter,
                params,
                limit: convert::size(message.limit),
                namespace: message.namespace,
            };
            let counts = self.service.facet(&call, message.collection, facet).await?;
            let values = counts.values.into_iter().map(|counted| proto::FacetCount {
                value: Some(convert::value_message(counted.value)),
                count: counted.count,
            });
            Ok(proto::FacetResponse { values: values.collect(), distinct: counts.distinct })
        };
        close(done.await)
    }

    async fn query(&self, request: Request<proto::QueryRequest>) -> Answer<proto::QueryResponse> {
        let (call, message) = open(request)?;
        let done = async {
            let (collection, request) = query(message)?;
            self.service.query(&call, collection, request).await
        };
        close(done.await.map(convert::answer_message))
    }

    async fn query_groups(
        &self,
        request: Request<proto::QueryGroupsRequest>,
    ) -> Answer<proto::QueryGroupsResponse> {
        let (call, message) = open(request)?;
        let done = async {
            let options = convert::options(message.options, message.namespace)?;
            let (vector, like) = nearest_to(message.vector, message.like)?;
            let groups = QueryGroups {
                vector,
                like,
                group_by: message.group_by,
                group_size: convert::size(message.group_size),
                k: options.k,
                filter: options.filter,
                params: options.params,
                ef: options.ef,
                recall: options.recall,
                exact: options.exact,
                score_threshold: options.score_threshold,
                include: options.include,
                namespace: options.namespace,
            };
            self.service.query_groups(&call, message.collection, groups).await
        };
        close(done.await.map(convert::groups_message))
    }

    async fn query_batch(
        &self,
        request: Request<proto::QueryBatchRequest>,
    ) -> Answer<proto::QueryBatchResponse> {
        let (call, message) = open(request)?;
        let done = async {
            let vectors = message.vectors.into_iter().enumerate();
            let vectors = vectors
                .map(|(at, vector)| convert::vector(Some(vector), &format!("vectors[{at}]")))
                .collect::<Done<Vec<_>>>()?;
            let options = convert::options(message.options, message.namespace)?;
            let batch = QueryBatch {
                vectors,
                k: options.k,
                filter: options.filter,
                params: options.params,
                ef: options.ef,
                recall: options.recall,
                exact: options.exact,
                score_threshold: options.score_threshold,
                include: options.include,
                namespace: options.namespace,
            };
            let answers = self.service.query_batch(&call, message.collection, batch).await?;
            let results = answers.results.into_iter().map(convert::answer_message).collect();
            Ok(proto::QueryBatchResponse { results })
        };
        close(done.await)
    }

    type QueryStreamStream = Answers<proto::QueryResponse>;

    async fn query_stream(
        &self,
        request: Request<Streaming<proto::QueryRequest>>,
    ) -> Answer<Self::QueryStreamStream> {
        let (call, messages) = open(request)?;
        let (service, operation) = (self.service.clone(), call.operation);
        let together = {
            let service = service.clone();
            move || service.at_once(operation)
        };
        Ok(each(&call, messages, together, move |messages| {
            let service = service.clone();
            async move { queried(&service, messages).await }
        }))
    }

    async fn optimize(&self, request: Request<proto::OptimizeRequest>) -> Answer<proto::Task> {
        let (call, message) = open(request)?;
        let collection = (!message.collection.is_empty()).then_some(message.collection);
        close(self.service.optimize(&call, collection).await.map(convert::task_message))
    }

    async fn verify(&self, request: Request<proto::VerifyRequest>) -> Answer<proto::Task> {
        let (call, _) = open(request)?;
        close(self.service.verify(&call).map(convert::task_message))
    }

    async fn get_task(&self, request: Request<proto::GetTaskRequest>) -> Answer<proto::Task> {
        let (call, message) = open(request)?;
        close(self.service.task(&call, message.id).map(convert::task_message))
    }

    async fn list_tasks(
        &self,
        request: Request<proto::ListTasksRequest>,
    ) -> Answer<proto::ListTasksResponse> {
        let (call, _) = open(request)?;
        let tasks =
            self.service.tasks(&call).tasks.into_iter().map(convert::task_message).collect();
        Ok(Response::new(proto::ListTasksResponse { tasks }))
    }

    async fn cancel_task(&self, request: Request<proto::CancelTaskRequest>) -> Answer<proto::Task> {
        let (call, message) = open(request)?;
        close(self.service.cancel_task(&call, message.id).map(convert::task_message))
    }

    async fn create_snapshot(
        &self,
        request: Request<proto::CreateSnapshotRequest>,
    ) -> Answer<proto::Snapshot> {
        let (call, message) = open(request)?;
        let done = self.service.create_snapshot(&call, message.name).await;
        close(done.map(convert::snapshot_message))
    }

    async fn list_snapshots(
        &self,
        request: Request<proto::ListSnapshotsRequest>,
    ) -> Answer<proto::ListSnapshotsResponse> {
        let (call, _) = open(request)?;
        let done = self.service.snapshots(&call).await;
        close(done.map(|all| proto::ListSnapshotsResponse {
            snapshots: all.snapshots.into_iter().map(convert::snapshot_message).collect(),
        }))
    }

    async fn restore_snapshot(
        &self,
        request: Request<proto::RestoreSnapshotRequest>,
    ) -> Answer<proto::RestoreSnapshotResponse> {
        let (call, message) = open(request)?;
        let done = self.service.restore_snapshot(&call, message.name).await;
        close(done.map(|()| proto::RestoreSnapshotResponse {}))
    }

    async fn remove_snapshot(
        &self,
        request: Request<proto::RemoveSnapshotRequest>,
    ) -> Answer<proto::RemoveSnapshotResponse> {
        let (call, message) = open(request)?;
        let done = self.service.remove_snapshot(&call, message.name).await;
        close(done.map(|()| proto::RemoveSnapshotResponse {}))
    }

    async fn stats(&self, request: Request<proto::StatsRequest>) -> Answer<proto::StatsResponse> {
        let (call, message) = open(request)?;
        let collection = (!message.collection.is_empty()).then_some(message.collection);
        let done = self.service.stats(&call, collection).await;
        close(done.map(|stats| proto::StatsResponse { json: stats.to_string() }))
    }
}
