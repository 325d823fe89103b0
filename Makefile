# Two commands do everything on a fresh machine: `make demo` and `make test`.

DIR ?= $(CURDIR)
DATA ?= .headwater

.PHONY: demo dev test check setup bench

## Runs the main job: scans DIR (default: this repository), reports on it, shows the catalogue.
demo: setup
	cargo build --release --locked --quiet -p headwater -p directory-insights
	ops/setup/demo.sh "$(DATA)" "$(DIR)"

## Stays up: the API on 127.0.0.1:4000, with a broker and a database of its own.
dev: setup
	cargo build --release --locked --quiet -p headwater
	target/release/headwater dev --data-dir "$(DATA)"

## Passes every test, with servers of its own on free ports.
test: setup check
	cargo build --locked --workspace --bins
	cargo test --locked --workspace

## Format and lints.
check:
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets --quiet -- -D warnings

## Measures, beside the bare broker.
bench: setup
	cargo build --release --locked --quiet -p headwater
	target/release/headwater bench

## Installs what is missing: nats-server, Postgres, a C compiler.
setup:
	@ops/setup/install.sh
