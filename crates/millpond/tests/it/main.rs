//! What the program does, seen from outside.

mod commands;
mod config;
mod http;
mod killed;
mod mirroring;
mod world;
