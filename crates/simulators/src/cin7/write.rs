//! `POST`, `PUT` and `DELETE`.

use super::query::Query;
use super::reply::{Refusal, Reply};
use super::routes::Route;
use super::server::Service;
use http::Method;

pub(crate) fn call(
    _service: &Service,
    _account: usize,
    _method: &Method,
    _route: &'static Route,
    _query: &Query,
    _body: &[u8],
    _not_applied: bool,
) -> Reply {
    Refusal::bad("This operation is not simulated").reply()
}
