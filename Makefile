# The commands of the house. `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/sh
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
MILLPOND := $(TARGET_DIR)/release/millpond
# More for `millpond demo`, as in: make demo DEMO_ARGS=--exit
DEMO_ARGS ?=
BENCH_ARGS ?=
# One test or a few, as in: make test TESTS=reader::
TESTS ?=

.PHONY: help
help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## mirror two simulated companies and ask what their API cannot answer
	@scripts/setup demo
	cargo build --release --locked -p millpond
	$(MILLPOND) demo $(DEMO_ARGS)

.PHONY: test
test: ## run all tests, on a PostgreSQL of their own
	@scripts/setup test
	@if cargo nextest --version >/dev/null 2>&1; then \
	    set -ex; cargo nextest run --workspace --locked --no-fail-fast --no-tests=pass $(TESTS); \
	    if [ -z "$(TESTS)" ]; then cargo test --workspace --locked --doc; fi; \
	else \
	    set -ex; cargo test --workspace --locked --no-fail-fast $(TESTS); \
	fi

.PHONY: check
check: ## format, lints, docs and the house rules
	@scripts/setup build
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
	scripts/house-rules

.PHONY: bench-mirror
bench-mirror: ## mirror 200,000 records, beside COPY and a plain fetch
	@scripts/setup demo
	cargo build --release --locked -p millpond -p bench
	$(TARGET_DIR)/release/bench mirror $(BENCH_ARGS)

.PHONY: bench-query
bench-query: ## ask 250,000 sales and a million documents
	@scripts/setup demo
	cargo build --release --locked -p millpond -p bench
	$(TARGET_DIR)/release/bench query $(BENCH_ARGS)

.PHONY: bench-orders
bench-orders: ## split, join and plan 10,000 orders over 50,000 stock rows
	cargo run --release --locked -p orders --example orders_bench -- $(BENCH_ARGS)

.PHONY: bench-changes
bench-changes: ## change 10 of 51,000 sales and count the calls that bring them in
	@scripts/setup demo
	cargo build --release --locked -p millpond -p bench
	$(TARGET_DIR)/release/bench changes $(BENCH_ARGS)

.PHONY: bench-sweep
bench-sweep: ## sweep 500 values that ran out, against a median answer of 230 ms
	@scripts/setup demo
	cargo build --release --locked -p millpond -p bench
	$(TARGET_DIR)/release/bench sweep $(BENCH_ARGS)

.PHONY: bench-recall
bench-recall: ## recall products by codes, names and in other words, by words, by vectors and by both
	@scripts/setup demo
	cargo build --release --locked -p millpond -p bench
	$(TARGET_DIR)/release/bench recall $(BENCH_ARGS)

.PHONY: bench-http
bench-http: ## read cached records over HTTP, beside nginx and Varnish that keep the same answers
	@scripts/setup bench-http
	cargo build --release --locked -p millpond -p bench
	$(TARGET_DIR)/release/bench http $(BENCH_ARGS)

.PHONY: bench-console
bench-console: ## open pages of the console over a million records, and a record of 5 MB
	@scripts/setup demo
	cargo build --release --locked -p millpond -p bench
	$(TARGET_DIR)/release/bench console $(BENCH_ARGS)

.PHONY: bench-calls
bench-calls: ## report on 1 GB of call log, beside pandas and plain Python
	@scripts/setup build
	cargo build --release --locked -p calls --example calls_bench
	test -x $(TARGET_DIR)/bench-calls/venv/bin/python || python3 -m venv $(TARGET_DIR)/bench-calls/venv
	$(TARGET_DIR)/bench-calls/venv/bin/pip install --quiet pandas pyarrow orjson
	$(TARGET_DIR)/release/examples/calls_bench --dir $(TARGET_DIR)/bench-calls \
	    --python $(TARGET_DIR)/bench-calls/venv/bin/python $(BENCH_ARGS)

.PHONY: screenshots
screenshots: ## look at every page of the console, at two widths, in target/screenshots
	@scripts/setup test
	mkdir -p $(TARGET_DIR)/screenshots
	MILLPOND_SCREENSHOTS=$(abspath $(TARGET_DIR))/screenshots cargo test --locked -p millpond --test it \
	    console:: -- --test-threads 1

.PHONY: bench-freshness
bench-freshness: ## spend 60 calls a minute by several policies, and count the stale reads
	@scripts/setup build
	cargo bench --locked -p freshness --bench spend -- $(BENCH_ARGS)

.PHONY: bench-freshness-live
bench-freshness-live: ## the real server under both policies at one cap: answers compared with the truth
	@scripts/setup test
	cargo test --locked -p millpond --test it live::bench_freshness_live -- --ignored --nocapture

.PHONY: bench-cache
bench-cache: ## hits, stampedes and outages of the cache, beside the raw libraries
	@scripts/setup test
	cargo bench --locked -p cache --bench hits -- $(BENCH_ARGS)
