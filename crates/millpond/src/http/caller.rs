//! The caller as handlers are given it, and what they may ask of it.

use axum::extract::FromRequestParts;
use http::request::Parts;
use store::keys::Role;

use super::{declared::Needs, error::ApiError};
pub use crate::access::Caller;

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        // The guard puts it there; a route that it does not guard has no caller.
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(ApiError::unauthorized)
    }
}

/// Refuses a caller who is less than a route needs.
pub(super) fn check(caller: &Caller, needs: Needs) -> Result<(), ApiError> {
    let principal = caller.principal();
    let role = match needs {
        Needs::Nobody | Needs::User => return Ok(()),
        Needs::Developer => Role::Developer,
        Needs::Admin => Role::Admin,
        Needs::Operator if principal.is_operator() => return Ok(()),
        Needs::Operator => {
            let message = "this is for the operators of this Millpond, not for a tenant";
            return Err(ApiError::forbidden(message));
        }
    };
    if principal.role >= role {
        return Ok(());
    }
    let message = format!(
        "the key's role is {}, this needs {}",
        principal.role.as_str(),
        role.as_str()
    );
    Err(ApiError::forbidden(message))
}

/// Refuses a caller who does not see a tenant, as if there were none.
pub(super) fn see_tenant(caller: &Caller, tenant: &str) -> Result<(), ApiError> {
    if caller.sees_tenant(tenant) {
        return Ok(());
    }
    Err(ApiError::not_found(format!(
        "there is no tenant `{tenant}`"
    )))
}

/// Refuses a caller who may not manage a tenant's projects and keys.
pub(super) fn manage(caller: &Caller, tenant: Option<&str>) -> Result<(), ApiError> {
    match tenant {
        Some(tenant) => see_tenant(caller, tenant)?,
        None if !caller.principal().is_operator() => {
            return Err(ApiError::forbidden("operators' keys are theirs"));
        }
        None => {}
    }
    if caller.principal().project.is_some() {
        let message = "a key that is confined to a project manages nothing";
        return Err(ApiError::forbidden(message));
    }
    Ok(())
}

/// Refuses an instance that the caller does not see, as if there were none.
pub(super) fn see_instance(caller: &Caller, instance: &str) -> Result<(), ApiError> {
    if caller.sees(instance) {
        return Ok(());
    }
    Err(ApiError::not_found(format!(
        "there is no instance `{instance}`"
    )))
}
