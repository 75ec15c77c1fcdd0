//! The binary and its doors: command line, configuration, HTTP API.

pub mod cli;
pub mod config;
pub mod connectors;
pub mod database;
pub mod environment;
mod feed;
pub mod output;
pub mod secrets;
