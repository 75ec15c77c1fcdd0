//! The polite client: connector files, connections, budget, retry, paging, call log.
