//! Every declared route.

mod cache;
mod webhooks;

use super::{
    AFTER, BEFORE, CONTAINS, DELETED, Declared, FOR, FRESH, FROM, FROM_VERSION, INSTANCE,
    INSTANCES, JSON_PATH, LIMIT, LIMIT_VALUES, LOOKED_INTO, MAX_AGE, NAME, NO_CALLS, NUMBER_AFTER,
    Needs::*, OF_INSTANCE, OF_RESOURCE, OF_TENANT, ORDER, ORDER_STATE, PATHS, PAYLOAD, PRINCIPAL,
    PROJECT, QUERY, RECALLS, RECORD, RECORDS, RESOURCE, ROWS_AFTER, SAID_BY, SEARCHES, SNAPSHOT,
    STATE, TENANT, TO, TO_VERSION, WAIT, WHERE, reads, writes,
};
use crate::{
    http::{keys, memory, operator, orders, projects, rates, records, saved, sql, tenants},
    orders::{HoldAsk, PlanAsk},
};

/// Every declared route.
pub const DECLARED: &[Declared] = &{
    let mut all = [GENERAL[0]; GENERAL.len() + cache::DECLARED.len() + webhooks::DECLARED.len()];
    let parts = [GENERAL, cache::DECLARED, webhooks::DECLARED];
    let (mut part, mut before) = (0, 0);
    while part < parts.len() {
        let mut at = 0;
        while at < parts[part].len() {
            all[before + at] = parts[part][at];
            at += 1;
        }
        before += at;
        part += 1;
    }
    all
};

/// Those that have no file of their own.
const GENERAL: &[Declared] = &[
    reads("GET", "/healthz", Nobody, "The process lives").answer("Health"),
    reads("GET", "/readyz", Nobody, "The database answers").answer("Health"),
    reads("GET", "/metrics", Operator, "Metrics for Prometheus").text(),
    reads(
        "GET",
        "/v1/instances",
        User,
        "Every instance and how its copy is",
    )
    .answer("Instances"),
    reads("GET", "/v1/instances/{instance}", User, "One instance").answer("Instance"),
    reads(
        "GET",
        "/v1/instances/{instance}/forecast",
        User,
        "What its calls will buy, half of them and twice as many",
    )
    .answer("Forecast"),
    reads(
        "GET",
        "/v1/freshness/{resource}/{instance}/{id}",
        User,
        "Why a record or payload was or was not fetched",
    )
    .answer("Explained"),
    reads(
        "GET",
        "/v1/resources",
        User,
        "What is mirrored, and the views that SQL can ask",
    )
    .query(&[OF_RESOURCE])
    .answer("Resources"),
    reads(
        "GET",
        "/v1/records/{resource}",
        User,
        "Records, newest first",
    )
    .query(&[INSTANCES, LIMIT, AFTER, DELETED, SNAPSHOT])
    .cached(SEARCHES)
    .conditional()
    .answer("RecordPage"),
    reads(
        "GET",
        "/v1/records/{resource}/{instance}/{id}",
        User,
        "One record, as fresh as asked",
    )
    .query(&[MAX_AGE, FRESH, NO_CALLS, SNAPSHOT])
    .cached(RECORDS)
    .conditional()
    .answer("Record"),
    reads(
        "GET",
        "/v1/records/{resource}/{instance}/{id}/history",
        User,
        "Its former versions",
    )
    .query(&[LIMIT])
    .answer("History"),
    reads(
        "GET",
        "/v1/records/{resource}/{instance}/{id}/diff",
        User,
        "What it changed between two snapshots or versions",
    )
    .query(&[FROM, TO, FROM_VERSION, TO_VERSION])
    .answer("Diff"),
    writes(
        "POST",
        "/v1/records/{resource}/{instance}/{id}/refresh",
        Developer,
        &[RECORD, PAYLOAD],
        "Fetch a record and its payloads anew",
    ),
    reads(
        "GET",
        "/v1/records/{resource}/{instance}/{id}/payloads/{payload}",
        User,
        "One payload of a record, as fresh as asked",
    )
    .query(&[MAX_AGE, FRESH])
    .conditional(),
    writes(
        "POST",
        "/v1/records/{resource}/{instance}/{id}/payloads/{payload}",
        Developer,
        &[PAYLOAD],
        "A new element of a payload, upstream",
    ),
    writes(
        "PUT",
        "/v1/records/{resource}/{instance}/{id}/payloads/{payload}",
        Developer,
        &[PAYLOAD],
        "Put a payload's elements in order, upstream",
    ),
    writes(
        "PATCH",
        "/v1/records/{resource}/{instance}/{id}/payloads/{payload}/{item}",
        Developer,
        &[PAYLOAD],
        "Change an element of a payload, upstream",
    ),
    writes(
        "DELETE",
        "/v1/records/{resource}/{instance}/{id}/payloads/{payload}/{item}",
        Developer,
        &[PAYLOAD],
        "Remove an element of a payload, upstream",
    ),
    reads("GET", "/v1/search", User, "Records that meet all criteria")
        .query(&[
            RESOURCE, WHERE, CONTAINS, JSON_PATH, INSTANCES, LIMIT, AFTER, DELETED, SNAPSHOT,
        ])
        .cached(SEARCHES)
        .conditional()
        .answer("RecordPage"),
    reads(
        "POST",
        "/v1/search",
        User,
        "The same, for criteria too long for a URL",
    )
    .body::<records::Question>()
    .cached(SEARCHES)
    .answer("RecordPage"),
    reads(
        "GET",
        "/v1/facets",
        User,
        "Values of some paths among the newest records of a search, and how many records have each",
    )
    .query(&[
        RESOURCE,
        PATHS,
        WHERE,
        CONTAINS,
        JSON_PATH,
        INSTANCES,
        DELETED,
        LOOKED_INTO,
        LIMIT_VALUES,
    ])
    .answer("Facets"),
    reads(
        "POST",
        "/v1/query/sql",
        Developer,
        "One SQL statement that reads",
    )
    .body::<sql::SqlQuery>()
    .answer("SqlAnswer"),
    reads("GET", "/v1/snapshots", User, "Snapshots, newest first")
        .query(&[BEFORE, LIMIT])
        .answer("Snapshots"),
    reads("GET", "/v1/snapshots/{snapshot}", User, "One snapshot").answer("Snapshot"),
    writes(
        "POST",
        "/v1/snapshots/{snapshot}/pin",
        Developer,
        &[],
        "Keep a snapshot for a while, whatever is forgotten",
    )
    .query(&[FOR])
    .answer("Snapshot"),
    writes(
        "DELETE",
        "/v1/snapshots/{snapshot}/pin",
        Developer,
        &[],
        "Take the caller's own pin off a snapshot",
    )
    .status(204),
    reads(
        "GET",
        "/v1/runs",
        Developer,
        "Runs of sync jobs, newest first",
    )
    .query(&[INSTANCE, OF_RESOURCE, STATE, BEFORE, LIMIT])
    .answer("Runs"),
    reads("GET", "/v1/runs/{id}", Developer, "One run").answer("Run"),
    reads(
        "GET",
        "/v1/changes",
        User,
        "Every insert, update and delete, oldest first",
    )
    .query(&[AFTER, LIMIT, WAIT])
    .answer("Changes")
    .streams(),
    reads("GET", "/v1/events", Operator, "What happens, as it happens")
        .query(&[NUMBER_AFTER, LIMIT, WAIT, NAME, INSTANCE])
        .answer("Events")
        .streams(),
    reads(
        "GET",
        "/v1/quarantine",
        Developer,
        "Records that PostgreSQL cannot hold",
    )
    .query(&[LIMIT])
    .answer("Quarantine"),
    writes(
        "POST",
        "/v1/hooks/{instance}",
        Nobody,
        &[],
        "A webhook of upstream: the instance's secret is shown, and what it tells of is fetched",
    )
    .answer("Heard")
    .status(202),
    reads(
        "GET",
        "/v1/rates",
        User,
        "Average rates of currencies, by month",
    )
    .query(&[LIMIT])
    .answer("Rates"),
    writes("PUT", "/v1/rates", Operator, &[], "Save rates")
        .body::<rates::NewRates>()
        .answer("Rates"),
    reads("GET", "/v1/queries", Developer, "Saved queries and reports").answer("Queries"),
    writes(
        "PUT",
        "/v1/queries/{name}",
        Developer,
        &[],
        "Save a query under a name",
    )
    .body::<saved::NewQuery>()
    .answer("SavedQuery"),
    writes(
        "DELETE",
        "/v1/queries/{name}",
        Developer,
        &[],
        "Remove a saved query",
    )
    .status(204),
    reads(
        "POST",
        "/v1/queries/{name}/run",
        Developer,
        "The answer of a saved query, by the caller's own rights",
    )
    .body::<saved::QueryValues>()
    .answer("SqlAnswer"),
    reads(
        "GET",
        "/v1/settings",
        Operator,
        "Every setting of this process, and where its value comes from",
    )
    .answer("Settings"),
    reads(
        "GET",
        "/v1/calls/report",
        Operator,
        "What the newest call log of this server tells",
    )
    .answer("CallReport"),
    writes(
        "PATCH",
        "/v1/instances/{instance}/connections/{connection}",
        Operator,
        &[],
        "Use a connection or not, and how much of its limit",
    )
    .body::<operator::ConnectionChange>()
    .answer("Connection"),
    reads("GET", "/v1/principal", User, "Who asks, and what they see").answer("Principal"),
    reads(
        "GET",
        "/v1/tenants",
        User,
        "Tenants: an operator sees all, a tenant itself",
    )
    .query(&[AFTER, LIMIT])
    .answer("Tenants"),
    writes("POST", "/v1/tenants", Operator, &[TENANT], "Make a tenant")
        .body::<tenants::NewTenant>()
        .answer("Tenant")
        .status(201),
    reads(
        "GET",
        "/v1/tenants/{tenant}",
        User,
        "One tenant, with its quota window",
    )
    .answer("Tenant"),
    writes(
        "PATCH",
        "/v1/tenants/{tenant}",
        Operator,
        &[TENANT],
        "Change a tenant's title, plan, cycle or limits",
    )
    .body::<tenants::TenantValues>()
    .answer("Tenant"),
    writes(
        "DELETE",
        "/v1/tenants/{tenant}",
        Operator,
        &[TENANT, PROJECT, PRINCIPAL],
        "Delete a tenant with its projects and keys",
    )
    .status(204),
    reads(
        "GET",
        "/v1/tenants/{tenant}/usage",
        User,
        "What a tenant has used of its quota window",
    )
    .answer("Usage"),
    writes(
        "PUT",
        "/v1/tenants/{tenant}/instances/{instance}",
        Operator,
        &[TENANT],
        "Make a tenant the owner of an instance",
    )
    .answer("Tenant"),
    writes(
        "DELETE",
        "/v1/tenants/{tenant}/instances/{instance}",
        Operator,
        &[TENANT],
        "Take an instance from a tenant",
    )
    .status(204),
    reads(
        "GET",
        "/v1/tenants/{tenant}/projects",
        User,
        "A tenant's projects",
    )
    .query(&[AFTER, LIMIT])
    .answer("Projects"),
    writes(
        "POST",
        "/v1/tenants/{tenant}/projects",
        Admin,
        &[PROJECT],
        "Make a project",
    )
    .body::<projects::NewProject>()
    .answer("Project")
    .status(201),
    reads(
        "GET",
        "/v1/tenants/{tenant}/projects/{project}",
        User,
        "One project, with its counts",
    )
    .answer("ProjectWithCounts"),
    writes(
        "PATCH",
        "/v1/tenants/{tenant}/projects/{project}",
        Admin,
        &[PROJECT],
        "Change a project",
    )
    .body::<projects::ProjectValues>()
    .answer("Project"),
    writes(
        "DELETE",
        "/v1/tenants/{tenant}/projects/{project}",
        Admin,
        &[PROJECT, PRINCIPAL],
        "Delete a project with its keys",
    )
    .status(204),
    reads(
        "GET",
        "/v1/keys",
        Admin,
        "Keys, newest first, without their credentials",
    )
    .query(&[OF_TENANT, LIMIT])
    .answer("Keys"),
    writes(
        "POST",
        "/v1/keys",
        Admin,
        &[PRINCIPAL],
        "Make a key; its credential is shown this once",
    )
    .body::<keys::KeyValues>()
    .answer("NewKey")
    .status(201),
    reads("GET", "/v1/keys/{key}", Admin, "One key").answer("Key"),
    writes(
        "PATCH",
        "/v1/keys/{key}",
        Admin,
        &[PRINCIPAL],
        "Change what a key may do",
    )
    .body::<keys::KeyChange>()
    .answer("Key"),
    writes(
        "DELETE",
        "/v1/keys/{key}",
        Admin,
        &[PRINCIPAL],
        "Revoke a key",
    )
    .answer("Key"),
    writes(
        "POST",
        "/v1/keys/{key}/rotate",
        Admin,
        &[PRINCIPAL],
        "Give a key a new credential, shown this once",
    )
    .answer("NewKey"),
    reads("GET", "/v1/orders/plans", User, "Order plans, newest first")
        .query(&[INSTANCE, ORDER_STATE, BEFORE, LIMIT])
        .answer("Plans"),
    writes(
        "POST",
        "/v1/orders/plans",
        Developer,
        &[],
        "Plan open orders from the mirror, without a call",
    )
    .query(&[SAID_BY])
    .body::<PlanAsk>()
    .answer("Plan")
    .status(201),
    reads(
        "GET",
        "/v1/orders/plans/{plan}",
        User,
        "What a plan writes, has written, and leaves short",
    )
    .query(&[ROWS_AFTER, LIMIT])
    .answer("Plan"),
    reads(
        "GET",
        "/v1/orders/plans/{plan}/orders/{order}",
        User,
        "Why one order of a plan gets what it gets",
    )
    .answer("Explanation"),
    writes(
        "POST",
        "/v1/orders/plans/{plan}/approve",
        Developer,
        &[],
        "Approve a plan: nobody else gets its units",
    )
    .query(&[SAID_BY])
    .answer("PlanRow"),
    writes(
        "POST",
        "/v1/orders/plans/{plan}/apply",
        Developer,
        &[],
        "Begin to write an approved plan upstream, or go on",
    )
    .answer("PlanRow")
    .status(202),
    writes(
        "POST",
        "/v1/orders/plans/{plan}/cancel",
        Developer,
        &[],
        "Cancel a plan whose apply has not begun",
    )
    .query(&[SAID_BY])
    .answer("PlanRow"),
    reads("GET", "/v1/orders/claims", User, "Who holds which units")
        .query(&[OF_INSTANCE, ORDER, AFTER, LIMIT])
        .answer("Claims"),
    writes(
        "POST",
        "/v1/orders/claims",
        Developer,
        &[],
        "Hold units for an order, unless they are taken",
    )
    .query(&[SAID_BY])
    .body::<HoldAsk>()
    .answer("Held")
    .status(201),
    writes(
        "POST",
        "/v1/orders/claims/release",
        Developer,
        &[],
        "Give held units back",
    )
    .query(&[SAID_BY])
    .body::<orders::ReleaseUnits>()
    .status(204),
    writes(
        "POST",
        "/v1/memory/add",
        User,
        &[QUERY],
        "Keep a note beside the records",
    )
    .body::<memory::NewMemory>()
    .answer("Memory")
    .status(201),
    reads(
        "POST",
        "/v1/memory/query",
        User,
        "The notes and records that answer a question best",
    )
    .body::<memory::MemoryQuery>()
    .cached(RECALLS)
    .answer("Recall"),
    reads("GET", "/v1/memory/{id}", User, "One note").answer("Memory"),
    writes("PATCH", "/v1/memory/{id}", User, &[QUERY], "Change a note")
        .body::<memory::MemoryValues>()
        .answer("Memory"),
    writes("DELETE", "/v1/memory/{id}", User, &[QUERY], "Forget a note").status(204),
    reads(
        "POST",
        "/mcp",
        User,
        "The Model Context Protocol: tools for agents, over streamable HTTP",
    )
    .foreign(),
    reads("GET", "/openapi.json", Nobody, "This description").answer("OpenApi"),
];
