//! The OpenAPI 3.1 document, made from the table of routes.

use axum::http::Method;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::problem::{self, ProblemBody};
use super::route::{JSON, NDJSON, Route, answer, schema};
use crate::serve::Access;
use crate::service::Operation;

/// Serves the description of `routes` (and of itself).
pub(super) fn route(routes: &[Route]) -> Route {
    let with = |document: Value| {
        let document = std::sync::Arc::new(document);
        let act = move |_| {
            let document = std::sync::Arc::clone(&document);
            async move { answer(&*document) }
        };
        let summary = "This description";
        Route::raw(Method::GET, "/openapi.json", Operation::Other, summary, act)
            .named("openapi")
            .open()
    };
    let mut all = routes.to_vec();
    all.push(with(Value::Null));
    with(document(&all))
}

fn document(routes: &[Route]) -> Value {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut generator = settings.into_generator();
    let failed = schema::<ProblemBody<'_>>(&mut generator);
    let mut paths = Map::new();
    for route in routes {
        let mut parameters: Vec<Value> = route
            .path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .map(|name| {
                let of_task = name == "id" && route.path.starts_with("/v1/tasks");
                let schema = if of_task {
                    json!({"type": "integer", "minimum": 0})
                } else {
                    json!({"type": "string", "minLength": 1})
                };
                json!({"name": name, "in": "path", "required": true, "schema": schema})
            })
            .collect();
        if let Some(of) = route.parameters {
            // The parameters of a query are the fields of a structure.
            let mut inline = schemars::generate::SchemaSettings::draft2020_12()
                .with(|settings| settings.inline_subschemas = true)
                .into_generator();
            let fields = of(&mut inline).to_value();
            for (name, schema) in fields["properties"].as_object().into_iter().flatten() {
                parameters.push(json!({"name": name, "in": "query", "schema": schema}));
            }
        }
        let (media_type, gives) = route.gives;
        let given = match gives {
            Some(of) => json!({ "schema": of(&mut generator) }),
            None if media_type == JSON => json!({ "schema": {"type": "object"} }),
            None => json!({ "schema": {"type": "string"} }),
        };
        let success = json!({
            "description": if media_type == NDJSON { "One a line" } else { "Done" },
            "content": { media_type: given },
        });
        let failure = json!({
            "description": "Not done, and why",
            "content": { problem::MEDIA_TYPE: { "schema": failed } },
        });
        let mut operation = json!({
            "operationId": route.id,
            "summary": route.summary,
            "parameters": parameters,
            "responses": { route.status.as_str(): success, "4XX": failure, "5XX": failure },
        });
        if let Some((media_type, of)) = route.takes {
            operation["requestBody"] = json!({
                "required": true,
                "content": { media_type: { "schema": of(&mut generator) } },
            });
        }
        if route.access == Access::Open {
            operation["security"] = json!([]);
        }
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_ascii_lowercase()] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "VecStore",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A vector database. Unknown fields are refused; a failure names the \
                field that is wrong. `x-timeout-ms` limits a request, `x-request-id` names it.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer" },
                "key": { "type": "apiKey", "in": "header", "name": "api-key" },
            },
        },
        "security": [{}, { "bearer": [] }, { "key": [] }],
    })
}
