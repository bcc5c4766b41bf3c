//! TypeScript declarations of the wire's documents, from their OpenAPI schemas.

use poolgate::demo::load::{LoadReport, LoadRequest, LoadState};
use poolgate_types::{
    Activity, Alert, CircuitState, CleanupReport, CleanupTrigger, ClientActivity, Clients, ClusterMember,
    ClusterStatus, ConfigSource, Forecast, GateStatus, GatewayStatus, Health, History, HistoryEvent, HistorySample,
    LeaseActivity, Level, MemberState, Percentiles, Performance, PoolStatus, Problem, RouteActivity, Severity, Status,
    ThrottlingConfig, UpstreamFailure, UsageThresholds,
};
use utoipa::{
    ToSchema,
    openapi::{
        RefOr,
        schema::{ArrayItems, Object, Schema, SchemaType, Type},
    },
};

use super::head;

/// `js/wire.d.ts` of the package.
pub(super) fn client() -> String {
    let documents = [
        declare::<Level>(),
        declare::<Health>(),
        declare::<CircuitState>(),
        declare::<ThrottlingConfig>(),
        declare::<CleanupTrigger>(),
        declare::<CleanupReport>(),
    ];
    format!("{}{}", head("The documents that the client reads."), documents.concat())
}

/// `www/types/wire.d.ts` of the operations page.
pub(super) fn page() -> String {
    let documents = [
        declare::<Severity>(),
        declare::<Percentiles>(),
        declare::<poolgate_types::Backend>(),
        declare::<PoolStatus>(),
        declare::<GateStatus>(),
        declare::<Performance>(),
        declare::<Clients>(),
        declare::<Alert>(),
        declare::<Forecast>(),
        declare::<ConfigSource>(),
        declare::<MemberState>(),
        declare::<ClusterMember>(),
        declare::<ClusterStatus>(),
        declare::<UpstreamFailure>(),
        declare::<GatewayStatus>(),
        declare::<UsageThresholds>(),
        declare::<Status>(),
        declare::<RouteActivity>(),
        declare::<LeaseActivity>(),
        declare::<ClientActivity>(),
        declare::<Activity>(),
        declare::<HistorySample>(),
        declare::<HistoryEvent>(),
        declare::<History>(),
        declare::<LoadRequest>(),
        declare::<LoadState>(),
        declare::<LoadReport>(),
        declare::<Problem>(),
    ];
    let package = "CircuitState, CleanupReport, Health, ThrottlingConfig, ThrottlingLevel";
    let imports = format!("\nimport type {{ {package} }} from \"../pkg/index.js\";\nexport type {{ {package} }};\n");
    format!("{}{imports}{}", head("The documents that the page reads."), documents.concat())
}

fn declare<T: ToSchema>() -> String {
    let name = type_name(&T::name());
    let schema = T::schema();
    let about = comment(description(&schema), "");
    match &schema {
        RefOr::T(Schema::Object(object)) if object.enum_values.is_none() => {
            format!("\n{about}export interface {name} {{\n{}}}\n", members(object))
        }
        _ => format!("\n{about}export type {name} = {};\n", type_of(&schema)),
    }
}

fn members(object: &Object) -> String {
    let member = |(name, schema): (&String, &RefOr<Schema>)| {
        format!("{}  {name}: {};\n", comment(description(schema), "  "), type_of(schema))
    };
    object.properties.iter().map(member).collect()
}

fn type_of(schema: &RefOr<Schema>) -> String {
    match schema {
        RefOr::Ref(reference) => type_name(reference.ref_location.rsplit('/').next().expect("a reference has a name")),
        RefOr::T(Schema::Object(Object { enum_values: Some(words), .. })) => {
            words.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ")
        }
        RefOr::T(Schema::Object(object)) => match &object.schema_type {
            SchemaType::Type(kind) => primitive(kind).to_owned(),
            SchemaType::Array(kinds) => kinds.iter().map(primitive).collect::<Vec<_>>().join(" | "),
            SchemaType::AnyValue => "unknown".to_owned(),
        },
        RefOr::T(Schema::Array(array)) => match &array.items {
            ArrayItems::RefOrSchema(items) => format!("{}[]", type_of(items)),
            ArrayItems::False => "[]".to_owned(),
        },
        RefOr::T(Schema::OneOf(one_of)) => {
            // What may be missing comes last.
            let mut kinds: Vec<_> = one_of.items.iter().map(type_of).collect();
            kinds.sort_by_key(|kind| kind == "null");
            kinds.join(" | ")
        }
        RefOr::T(_) => panic!("a kind of schema without a declaration"),
    }
}

const fn primitive(kind: &Type) -> &'static str {
    match kind {
        Type::String => "string",
        Type::Integer | Type::Number => "number",
        Type::Boolean => "boolean",
        Type::Null => "null",
        Type::Object => "object",
        Type::Array => "unknown[]",
    }
}

/// Lists of words to which a newer server may add are texts, so that a reader keeps a case for unknown ones.
fn type_name(name: &str) -> String {
    match name {
        "Level" => "ThrottlingLevel",
        "Reason" | "AlertKind" | "HistoryEventKind" => "string",
        other => other,
    }
    .to_owned()
}

fn description(schema: &RefOr<Schema>) -> &str {
    match schema {
        RefOr::Ref(reference) => &reference.description,
        RefOr::T(Schema::Object(object)) => object.description.as_deref().unwrap_or_default(),
        RefOr::T(Schema::Array(array)) => array.description.as_deref().unwrap_or_default(),
        RefOr::T(Schema::OneOf(one_of)) => one_of.description.as_deref().unwrap_or_default(),
        RefOr::T(_) => "",
    }
}

fn comment(text: &str, indent: &str) -> String {
    let text = without_links(text);
    match text.lines().collect::<Vec<_>>().as_slice() {
        [] => String::new(),
        [line] => format!("{indent}/** {line} */\n"),
        lines => {
            let lines: String =
                lines.iter().map(|line| format!("{}\n", format!("{indent} * {line}").trim_end())).collect();
            format!("{indent}/**\n{lines}{indent} */\n")
        }
    }
}

/// Rust's links to items become plain names.
fn without_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once("[`") {
        let Some((name, after)) = link.split_once("`]") else { break };
        plain.push_str(&format!("{before}`{}`", name.rsplit("::").next().unwrap_or(name)));
        rest = match after.strip_prefix('(') {
            Some(target) => target.split_once(')').map_or("", |(_, rest)| rest),
            None => after,
        };
    }
    plain + rest
}

#[test]
fn links_become_names() {
    let text = "See [`rate`](Self::rate), [`codes`] and [`Level::Normal`].";
    assert_eq!(without_links(text), "See `rate`, `codes` and `Normal`.");
}
