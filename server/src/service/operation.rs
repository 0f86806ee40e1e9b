//! What can be asked of the server, under one name in metrics, logs and rights.

/// What a key has to allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Right {
    Read,
    Write,
}

macro_rules! operations {
    ($( $operation:ident $name:literal $right:ident, )*) => {
        /// An operation; the same one over each protocol.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Operation { $( $operation, )* }

        impl Operation {
            pub(crate) const ALL: &[Operation] = &[$( Operation::$operation, )*];

            /// Its name in metrics, logs and OpenAPI.
            pub(crate) fn name(self) -> &'static str {
                match self { $( Operation::$operation => $name, )* }
            }

            /// What it needs.
            pub(crate) fn right(self) -> Right {
                match self { $( Operation::$operation => Right::$right, )* }
            }

            /// The method of the gRPC service of this name.
            pub(crate) fn of_method(method: &str) -> Option<Self> {
                match method { $( stringify!($operation) => Some(Operation::$operation), )* _ => None }
            }
        }
    };
}

operations! {
    CreateCollection "create_collection" Write,
    GetCollection "get_collection" Read,
    ListCollections "list_collections" Read,
    DropCollection "drop_collection" Write,
    ListNamespaces "list_namespaces" Read,
    RemoveNamespace "remove_namespace" Write,
    GetQuota "get_quota" Read,
    SetQuota "set_quota" Write,
    Upsert "upsert" Write,
    UpsertStream "upsert_stream" Write,
    Get "get" Read,
    Remove "remove" Write,
    Update "update" Write,
    Scroll "scroll" Read,
    ScrollStream "scroll_stream" Read,
    Count "count" Read,
    Facet "facet" Read,
    Query "query" Read,
    QueryGroups "query_groups" Read,
    QueryBatch "query_batch" Read,
    QueryStream "query_stream" Read,
    Optimize "optimize" Write,
    Verify "verify" Write,
    GetTask "get_task" Read,
    ListTasks "list_tasks" Read,
    CancelTask "cancel_task" Write,
    CreateSnapshot "create_snapshot" Write,
    ListSnapshots "list_snapshots" Read,
    RestoreSnapshot "restore_snapshot" Write,
    RemoveSnapshot "remove_snapshot" Write,
    Stats "stats" Read,
    Metrics "metrics" Read,
    // Health, reflection, the description of the interface, and paths that are not known.
    Other "other" Read,
}

impl Operation {
    /// Whether all of it waits for its turn among what reads records. A stream does so a message at
    /// a time.
    pub(crate) fn is_read(self) -> bool {
        use Operation::{Count, Facet, Get, Query, QueryBatch, QueryGroups, Scroll};
        matches!(self, Get | Scroll | Count | Facet | Query | QueryGroups | QueryBatch)
    }

    /// Whether an answer can be large although its request is small.
    pub(crate) fn may_give_much(self) -> bool {
        matches!(self, Operation::Get | Operation::Scroll | Operation::QueryBatch)
    }

    /// Its place in [`ALL`](Self::ALL).
    pub(crate) fn index(self) -> usize {
        self as usize
    }
}
