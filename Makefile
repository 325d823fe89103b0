# Two commands do everything on a fresh machine: `make demo` and `make test`.

DIR ?= $(CURDIR)
DATA ?= .headwater
TARGET := $(or $(CARGO_TARGET_DIR),target)
export TARGET

.PHONY: demo dev test check setup bench release

## Runs the main job: scans DIR (default: this repository), reports on it, shows the catalogue.
demo: release
	ops/setup/demo.sh "$(DATA)" "$(DIR)"

## Stays up: the API on 127.0.0.1:4000, with a broker and a database of its own.
dev: release
	"$(TARGET)/release/headwater" dev --data-dir "$(DATA)"

## Passes every test, with servers of its own on free ports. The rules are compiled with some optimisation: so many stories
## are simulated that this takes less time than it saves.
RULES := --config profile.dev.package.headwater-core.opt-level=1
test: setup check
	@echo 'test: compiling the programs and the tests, some minutes the first time' >&2
	cargo build --locked --workspace --bins $(RULES)
	HEADWATER_SEEDS=$${HEADWATER_SEEDS:-2000} cargo test --locked --workspace --no-fail-fast $(RULES)

## Format and lints.
check:
	@echo 'check: compiling for the lints, some minutes the first time' >&2
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

## Measures, beside the bare broker.
bench: release
	"$(TARGET)/release/headwater" bench

## Compiles what is shipped: programs without symbols, and their symbols beside them (NAME.debug), for backtraces.
release: setup
	@echo 'release: compiling, five to ten minutes the first time on two cores, seconds after that' >&2
	cargo build --release --locked -p headwater -p directory-insights
	ops/setup/strip.sh "$(TARGET)/release/headwater" "$(TARGET)/release/directory-insights"

## Installs what is missing: nats-server, Postgres, a C compiler.
setup:
	@ops/setup/install.sh
