//! The Model Context Protocol: what agents can ask, through the same routes, rights and limits as everybody else.
//!
//! A tool is a question to the HTTP API, asked within this process on behalf of the caller; answers are bounded, and
//! none costs an upstream call unless the agent says how many it may spend.

mod answer;
mod tools;

use std::{future::Future, sync::Arc};

use axum::Router;
use rmcp::{
    ErrorData, RoleServer, ServerHandler, ServiceExt as _,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation,
        ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
    transport::{
        stdio,
        streamable_http_server::{
            StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
        },
    },
};
use tokio_util::sync::CancellationToken;

use crate::{access::Caller, door::Door};

const INSTRUCTIONS: &str = "\
Millpond holds a live copy of business SaaS (orders, stock, customers, tickets) in PostgreSQL. \
Begin with `schema`: it names the resources, their instances and the SQL views. \
Find records with `search` or `sql`, or by what they say with `recall`; read one with `record`. \
Keep what is worth knowing later with `remember`. \
Every answer comes from the copy and says how old it is (`as_of`, `age_secs`); nothing here calls the service itself, \
except `record` with `max_calls`, which spends from a call budget that people share: ask them first. \
Answers are short: ask for a part, a page or a few columns rather than everything.";

/// The service at `/mcp`: streamable HTTP without sessions, so that any process can answer any request.
pub type McpService = StreamableHttpService<Agent, NeverSessionManager>;

/// Answers agents through `api`, as long as `stop` is not cancelled.
pub fn service(api: Router, body_bytes_max: usize, stop: CancellationToken) -> McpService {
    let agent = Agent {
        door: Door::new(api),
        caller: None,
    };
    // The guard before this one looks at hosts and keys. A page in a browser has no business here.
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_sse_keep_alive(None)
        .with_max_request_body_bytes(body_bytes_max)
        .with_cancellation_token(stop)
        .disable_allowed_hosts()
        .enforce_origin_validation();
    StreamableHttpService::new(
        move || Ok(agent.clone()),
        Arc::new(NeverSessionManager::default()),
        config,
    )
}

/// Answers one agent on standard input and output as `caller`, until it hangs up or `stop` is cancelled.
///
/// # Errors
///
/// What arrives first is not the protocol's greeting.
pub async fn serve_stdio(
    api: Router,
    caller: Caller,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let agent = Agent {
        door: Door::new(api),
        caller: Some(caller),
    };
    let running = tokio::select! {
        running = agent.serve(stdio()) => running?,
        () = stop.cancelled() => return Ok(()),
    };
    let over = running.cancellation_token();
    tokio::select! {
        ended = running.waiting() => { ended?; }
        () = stop.cancelled() => over.cancel(),
    }
    Ok(())
}

/// One agent's side of Millpond.
#[derive(Clone)]
pub struct Agent {
    door: Door,
    /// Who asks on standard input; over HTTP the request says it.
    caller: Option<Caller>,
}

impl Agent {
    fn caller(&self, context: &RequestContext<RoleServer>) -> Option<Caller> {
        let over_http = context.extensions.get::<http::request::Parts>();
        over_http
            .and_then(|parts| parts.extensions.get::<Caller>())
            .or(self.caller.as_ref())
            .cloned()
    }
}

impl ServerHandler for Agent {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(
                Implementation::new("millpond", env!("CARGO_PKG_VERSION")).with_title("Millpond"),
            )
            .with_instructions(INSTRUCTIONS)
    }

    fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> impl Future<Output = Result<ListToolsResult, ErrorData>> + Send + '_ {
        std::future::ready(Ok(ListToolsResult::with_all_items(tools::list())))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        tools::list().into_iter().find(|tool| tool.name == name)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(caller) = self.caller(&context) else {
            return Err(ErrorData::internal_error("nobody is known to ask", None));
        };
        let arguments = request.arguments.unwrap_or_default();
        let Some(asked) = tools::call(&self.door, caller, &request.name, arguments) else {
            let names: Vec<String> = tools::list().iter().map(|t| t.name.to_string()).collect();
            let message = format!(
                "there is no tool `{}`; there is: {}",
                request.name,
                names.join(", ")
            );
            return Err(ErrorData::invalid_params(message, None));
        };
        let result = match asked.await {
            Ok(answer) => CallToolResult::success(vec![ContentBlock::text(answer.to_string())]),
            Err(refusal) => CallToolResult::error(vec![ContentBlock::text(refusal.to_string())]),
        };
        Ok(result.into())
    }
}
