//! The freshness rules of ConnectWise as a connector file has them, by the requirement that each test proves.

mod oracle;
mod requirements;
mod tables;
