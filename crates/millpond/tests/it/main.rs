//! What the program does, seen from outside.

mod config;
mod http;
mod world;
