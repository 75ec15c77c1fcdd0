//! What each route is: who may ask, and which cached values a write makes old.
//!
//! A route that is not declared here is an operator's alone.

/// The family of resolved credentials.
pub const PRINCIPAL: &str = "cache:principal:{credential_hash}";
/// The family of tenants.
pub const TENANT: &str = "cache:tenant:{tenant_id}";
/// The family of projects.
pub const PROJECT: &str = "cache:project:{project_id}";

/// The families of what stands beside a record, as its connector names them.
pub const PAYLOAD: &str = "the payload's own";
/// The family of records, or the one that a connector names.
pub const RECORD: &str = "the record's own";

/// The least that a caller must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needs {
    /// Nobody in particular: no key is asked for.
    Nobody,
    /// A key of any role.
    User,
    /// A developer's key.
    Developer,
    /// An admin's key.
    Admin,
    /// An operator, who is of no tenant.
    Operator,
}

/// What asking does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing changes.
    Reads,
    /// Something changes, and these families' keys of what was touched are forgotten before the answer.
    Writes(&'static [&'static str]),
}

/// One method of one route.
#[derive(Debug, Clone, Copy)]
pub struct Declared {
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: &'static str,
    /// The path with its parts in braces.
    pub path: &'static str,
    /// Who may ask.
    pub needs: Needs,
    /// What asking does.
    pub effect: Effect,
    /// What it answers, in a few words.
    pub summary: &'static str,
}

const fn reads(
    method: &'static str,
    path: &'static str,
    needs: Needs,
    summary: &'static str,
) -> Declared {
    Declared {
        method,
        path,
        needs,
        effect: Effect::Reads,
        summary,
    }
}

const fn writes(
    method: &'static str,
    path: &'static str,
    needs: Needs,
    families: &'static [&'static str],
    summary: &'static str,
) -> Declared {
    Declared {
        method,
        path,
        needs,
        effect: Effect::Writes(families),
        summary,
    }
}

use Needs::{Admin, Developer, Nobody, Operator, User};

/// Every declared route.
pub const DECLARED: &[Declared] = &[
    reads("GET", "/healthz", Nobody, "The process lives"),
    reads("GET", "/readyz", Nobody, "The database answers"),
    reads("GET", "/metrics", Operator, "Metrics for Prometheus"),
    reads(
        "GET",
        "/v1/instances",
        User,
        "Every instance and how its copy is",
    ),
    reads("GET", "/v1/instances/{instance}", User, "One instance"),
    reads(
        "GET",
        "/v1/records/{resource}",
        User,
        "Records, newest first",
    ),
    reads(
        "GET",
        "/v1/records/{resource}/{instance}/{id}",
        User,
        "One record, as fresh as asked",
    ),
    reads(
        "GET",
        "/v1/records/{resource}/{instance}/{id}/history",
        User,
        "Its former versions",
    ),
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
    ),
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
    reads("GET", "/v1/search", User, "Records that meet all criteria"),
    reads(
        "POST",
        "/v1/search",
        User,
        "The same, for criteria too long for a URL",
    ),
    reads(
        "POST",
        "/v1/query/sql",
        Developer,
        "One SQL statement that reads",
    ),
    reads(
        "GET",
        "/v1/runs",
        Developer,
        "Runs of sync jobs, newest first",
    ),
    reads("GET", "/v1/runs/{id}", Developer, "One run"),
    reads(
        "GET",
        "/v1/changes",
        User,
        "Every insert, update and delete, oldest first",
    ),
    reads("GET", "/v1/events", Operator, "What happens, as it happens"),
    reads(
        "GET",
        "/v1/quarantine",
        Developer,
        "Records that PostgreSQL cannot hold",
    ),
    reads("GET", "/v1/principal", User, "Who asks, and what they see"),
    reads(
        "GET",
        "/v1/tenants",
        User,
        "Tenants: an operator sees all, a tenant itself",
    ),
    writes("POST", "/v1/tenants", Operator, &[TENANT], "Make a tenant"),
    reads(
        "GET",
        "/v1/tenants/{tenant}",
        User,
        "One tenant, with its quota window",
    ),
    writes(
        "PATCH",
        "/v1/tenants/{tenant}",
        Operator,
        &[TENANT],
        "Change a tenant's title, plan, cycle or limits",
    ),
    writes(
        "DELETE",
        "/v1/tenants/{tenant}",
        Operator,
        &[TENANT, PROJECT, PRINCIPAL],
        "Delete a tenant with its projects and keys",
    ),
    reads(
        "GET",
        "/v1/tenants/{tenant}/usage",
        User,
        "What a tenant has used of its quota window",
    ),
    writes(
        "PUT",
        "/v1/tenants/{tenant}/instances/{instance}",
        Operator,
        &[TENANT],
        "Make a tenant the owner of an instance",
    ),
    writes(
        "DELETE",
        "/v1/tenants/{tenant}/instances/{instance}",
        Operator,
        &[TENANT],
        "Take an instance from a tenant",
    ),
    reads(
        "GET",
        "/v1/tenants/{tenant}/projects",
        User,
        "A tenant's projects",
    ),
    writes(
        "POST",
        "/v1/tenants/{tenant}/projects",
        Admin,
        &[PROJECT],
        "Make a project",
    ),
    reads(
        "GET",
        "/v1/tenants/{tenant}/projects/{project}",
        User,
        "One project, with its counts",
    ),
    writes(
        "PATCH",
        "/v1/tenants/{tenant}/projects/{project}",
        Admin,
        &[PROJECT],
        "Change a project",
    ),
    writes(
        "DELETE",
        "/v1/tenants/{tenant}/projects/{project}",
        Admin,
        &[PROJECT, PRINCIPAL],
        "Delete a project with its keys",
    ),
    reads(
        "GET",
        "/v1/keys",
        Admin,
        "Keys, newest first, without their credentials",
    ),
    writes(
        "POST",
        "/v1/keys",
        Admin,
        &[PRINCIPAL],
        "Make a key; its credential is shown this once",
    ),
    reads("GET", "/v1/keys/{key}", Admin, "One key"),
    writes(
        "PATCH",
        "/v1/keys/{key}",
        Admin,
        &[PRINCIPAL],
        "Change what a key may do",
    ),
    writes(
        "DELETE",
        "/v1/keys/{key}",
        Admin,
        &[PRINCIPAL],
        "Revoke a key",
    ),
    writes(
        "POST",
        "/v1/keys/{key}/rotate",
        Admin,
        &[PRINCIPAL],
        "Give a key a new credential, shown this once",
    ),
];

/// Who may ask `method` on the route `path`.
pub fn needs(method: &str, path: &str) -> Needs {
    // What can be read can be asked for without its body.
    let method = if method == "HEAD" { "GET" } else { method };
    DECLARED
        .iter()
        .find(|route| route.method == method && route.path == path)
        .map_or(Needs::Operator, |route| route.needs)
}
