//! The binary and its doors: command line, configuration, HTTP API.

pub mod access;
mod call_logs;
pub mod cli;
pub mod config;
pub mod connectors;
mod console;
pub mod database;
pub mod demo;
mod diff;
mod door;
pub mod environment;
mod feed;
pub mod hot;
pub mod http;
pub mod instances;
pub mod logging;
pub mod mcp;
pub mod memory;
pub mod orders;
pub mod output;
mod progress;
mod rates;
pub mod secrets;
mod signals;
pub mod webhooks;
