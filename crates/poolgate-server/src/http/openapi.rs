//! The OpenAPI document, generated from the code.

use std::sync::OnceLock;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::header;
use poolgate_types::{ConfigVersion, Problem, ThrottlingConfig, codes};
use serde_json::{Value, json};
use utoipa::OpenApi;

use crate::Poolgate;

/// The tag of operations behind the gate.
pub const GATED_TAG: &str = "gated";

/// The health routes' OpenAPI 3.1 document.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "Poolgate",
        description = "Database health, throttling config and operations. Every failure is a problem document \
                       (RFC 9457); a method that a path does not have is answered 405 with Allow."
    ),
    paths(
        super::ping::ping,
        super::ping::livez,
        super::readyz::readyz,
        super::status::status,
        super::throttling_config::throttling_config,
        super::history::history,
        super::activity::activity,
        super::events::events,
        super::connection_test::connection_test,
        super::force_cleanup::force_cleanup,
        super::metrics::metrics,
        openapi
    )
)]
pub(super) struct Document;

/// This document.
#[utoipa::path(
    get,
    path = poolgate_types::routes::OPENAPI,
    tag = "operations",
    responses((status = 200, description = "OpenAPI 3.1", body = Value, content_type = "application/json"))
)]
pub(super) async fn openapi(State(poolgate): State<Poolgate>) -> Response {
    let document = poolgate.shared().openapi.text().to_owned();
    ([(header::CONTENT_TYPE, "application/json")], document).into_response()
}

/// The document of one server: the health routes and the app's own operations. Made when it is first asked for.
#[derive(Debug)]
pub(crate) struct ApiDocument {
    own: Value,
    text: OnceLock<String>,
}

impl ApiDocument {
    pub(crate) fn new(own: Value) -> Self {
        Self { own, text: OnceLock::new() }
    }

    fn text(&self) -> &str {
        self.text.get_or_init(|| {
            let mut document = health_routes();
            for part in ["paths", "components"] {
                add(&mut document[part], &self.own[part]);
            }
            complete(document).to_string()
        })
    }
}

fn health_routes() -> Value {
    serde_json::to_value(Document::openapi()).unwrap_or_default()
}

/// Adds the members of one object to another, at every depth. What both have stays as it is.
fn add(object: &mut Value, members: &Value) {
    let (Value::Object(object), Value::Object(members)) = (object, members) else { return };
    for (name, member) in members {
        match object.get_mut(name) {
            Some(found) => add(found, member),
            None => drop(object.insert(name.clone(), member.clone())),
        }
    }
}

/// What every route has in common, and what the macros cannot say.
fn complete(mut document: Value) -> Value {
    let operations = document["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut());
    for operation in operations.flat_map(|path| path.as_object_mut().into_iter().flat_map(|path| path.values_mut())) {
        describe_failures(operation);
    }
    let components = &mut document["components"];
    for failure in FAILURES {
        let Failure { name, description, .. } = failure;
        let schema = json!({ "schema": { "$ref": PROBLEM_SCHEMA } });
        components["responses"][name] =
            json!({ "description": description, "content": { (Problem::CONTENT_TYPE): schema } });
    }
    components["schemas"]["Problem"]["examples"] = json!([Problem {
        kind: Problem::TEMPORARY_REDUCED_CAPACITY.to_owned(),
        title: "The database is unavailable".to_owned(),
        status: 503,
        detail: "The database does not answer; the server keeps trying.".to_owned(),
        code: codes::DATABASE_UNAVAILABLE.to_owned(),
    }]);
    let at = ConfigVersion { epoch: 1_763_880_000_000, version: 41 };
    components["schemas"]["ThrottlingConfig"]["examples"] = json!([ThrottlingConfig::normal(at)]);
    components["securitySchemes"]["admin_token"] =
        json!({ "type": "http", "scheme": "bearer", "description": "server.admin_token" });
    document
}

const PROBLEM_SCHEMA: &str = "#/components/schemas/Problem";

/// A failure from the layers around the routes.
struct Failure {
    status: &'static str,
    name: &'static str,
    description: &'static str,
    /// Only for routes that read a body.
    of_bodies: bool,
    /// Only for routes behind the gate.
    of_the_gate: bool,
}

const FAILURES: [Failure; 9] = [
    failure("403", "Forbidden", "A page of another site sent it, or its host is not one of the server's"),
    failure("405", "MethodNotAllowed", "The path does not support this method; Allow lists the supported ones"),
    Failure {
        of_bodies: true,
        ..failure("408", "BodyTimeout", "The body did not arrive in time (server.body_timeout)")
    },
    Failure { of_bodies: true, ..failure("413", "BodyTooLarge", "The body is larger than server.max_body_bytes") },
    failure("431", "HeadTooLarge", "Target and header fields are larger than server.max_header_bytes"),
    Failure { of_the_gate: true, ..failure("429", "QuotaExceeded", "This client exceeded its quota; see Retry-After") },
    failure("500", "Internal", "An error of the program; see its log"),
    Failure {
        of_the_gate: true,
        ..failure("503", "Unavailable", "The gate is full or the database does not answer; see Retry-After")
    },
    failure("504", "RequestTimeout", "No answer within server.request_timeout"),
];

const fn failure(status: &'static str, name: &'static str, description: &'static str) -> Failure {
    Failure { status, name, description, of_bodies: false, of_the_gate: false }
}

/// Adds the common failures, and the media types of the described ones.
fn describe_failures(operation: &mut Value) {
    let has_body = operation.get("requestBody").is_some();
    let is_gated = operation["tags"].as_array().is_some_and(|tags| tags.contains(&GATED_TAG.into()));
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    for response in responses.values_mut() {
        let Some(content) = response.get_mut("content").and_then(Value::as_object_mut) else { continue };
        let is_problem = content.get("application/json").is_some_and(|json| json["schema"]["$ref"] == PROBLEM_SCHEMA);
        if is_problem && let Some(problem) = content.remove("application/json") {
            content.insert(Problem::CONTENT_TYPE.to_owned(), problem);
        }
    }
    for Failure { status, name, of_bodies, of_the_gate, .. } in FAILURES {
        let applies = (has_body || !of_bodies) && (is_gated || !of_the_gate);
        if applies && !responses.contains_key(status) {
            responses.insert(status.to_owned(), json!({ "$ref": format!("#/components/responses/{name}") }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_described_as_they_are_sent() {
        let document = complete(health_routes());
        for (path, methods) in document["paths"].as_object().expect("paths") {
            for (method, operation) in methods.as_object().expect("methods") {
                let responses = operation["responses"].as_object().expect("responses");
                for status in ["403", "405", "431", "504"] {
                    assert!(responses.contains_key(status), "{method} {path}: {status}");
                }
                for (status, response) in responses.iter().filter(|(status, _)| status.as_str() >= "400") {
                    let described = match response["$ref"].as_str() {
                        Some(reference) => {
                            &document["components"]["responses"][reference.rsplit('/').next().expect("a name")]
                        }
                        None => response,
                    };
                    let content =
                        described["content"].as_object().unwrap_or_else(|| panic!("{method} {path}: {status}"));
                    assert!(content.keys().eq([Problem::CONTENT_TYPE]), "{method} {path}: {status}: {content:?}");
                }
            }
        }
        let cleanup = &document["paths"][poolgate_types::routes::FORCE_CLEANUP]["post"]["security"];
        assert_eq!(*cleanup, json!([{}, { "admin_token": [] }]));
        assert_eq!(document["components"]["securitySchemes"]["admin_token"]["scheme"], "bearer");
    }
}
