//! The upstreams for tests and the demo, over real HTTP. Shares no type with the client.
