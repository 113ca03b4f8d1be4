# Needs Rust, a C compiler to link with, and Go; no containers, no cluster. `make` alone says what there is.
SHELL := bash
beside := tests/sandbox/beside.sh

# Options for the programs, as in: make sandbox SANDBOX="--emulated-version 1.33"
DEMO ?=
SANDBOX ?=
BENCH ?=

.PHONY: help demo sandbox test attacks fuzz simulate model sweep crisis soak bench crds fmt lint

help: ## this list
	@echo "First Aid. A first build takes some minutes; it says how far it is."
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: ## a crisis, end to end, on a real control plane, in under a minute (DEMO=--step waits for Enter)
	@$(beside) cargo build --workspace --bins
	@target/debug/demo $(DEMO)

sandbox: ## a control plane with First Aid and a shop to play with (SANDBOX="--emulated-version 1.33")
	@$(beside) cargo build --workspace --bins
	@target/debug/sandbox $(SANDBOX)

test: export RUST_BACKTRACE = 0
test: ## every test, the ones on a real control plane too
	@echo "test: building all tests, and beside them the control plane that they run on"
	@$(beside) cargo test --workspace --no-run
	@echo "test: running: units, properties, admission, and whole runs on two real API servers"
	@cargo test --workspace --no-fail-fast

attacks: export RUST_BACKTRACE = 0
attacks: ## the attacks of docs/security.md on two real API servers; prints the table, and writes it to target/attacks.md
	@$(beside) cargo test --test e2e --no-run
	@rm -rf target/attacks target/attacks.md
	@cargo test --quiet --test e2e attacks:: -- --skip attacks::table
	@cargo test --quiet --test e2e attacks::table -- --include-ignored --skip write_the_document --nocapture

fuzz: ## objects from an attacker against the planner, without end in sight (CASES=100000, SEED=any number)
	@cargo test --lib --no-run
	@export FIRSTAID_FUZZ_CASES=$(or $(CASES),100000) FIRSTAID_FUZZ_SEED=$(or $(SEED),$$RANDOM); \
		echo "fuzz: seed $$FIRSTAID_FUZZ_SEED, $$FIRSTAID_FUZZ_CASES cases"; cargo test --lib fuzz -- --nocapture

simulate: ## schedules from a seed on, in virtual time, and what they reached (N=10000000, SEED=any number)
	@cargo run --quiet --profile simulate --package firstaid-simulate -- $(or $(N),100000) $(or $(SEED),1) $(or $(THREADS),2)

model: ## all courses of a small world with two operators: millions of states (some minutes)
	@cargo test --profile simulate --package firstaid-simulate --test model -- --include-ignored --nocapture

sweep: ## every fault at every request of every kind of run, then the judge (hours); writes target/sweep.json
	@cargo test --test e2e -- --ignored --nocapture sweep::all_of_the_sweep

crisis: ## people start, approve and stop runs while a third of all requests fails and another is slow (MINUTES=10, SEED=)
	@FIRSTAID_CRISIS_SECONDS=$$((60 * $(or $(MINUTES),10))) FIRSTAID_CRISIS_SEED=$(or $(SEED),$$RANDOM) \
		cargo test --test e2e -- --nocapture in_a_crisis_of_the_api_server

soak: ## two replicas under fire, people, a rival and an API server that begins anew, then the judge (MINUTES=60, SEED=)
	@FIRSTAID_SOAK_SECONDS=$$((60 * $(or $(MINUTES),60))) FIRSTAID_SOAK_SEED=$(or $(SEED),$$RANDOM) \
		cargo test --test e2e -- --nocapture two_replicas_and_a_rival

bench: ## approval to effect, against hand-written floors; memory; writes (some minutes)
	@$(beside) cargo build --release --package firstaid --package firstaid-bench
	@target/release/firstaid-bench $(BENCH)

crds: ## writes crds/ from the types in src/api
	@cargo run --quiet --bin firstaid -- crds --out crds

fmt: ## formats the code
	@cargo fmt --all

lint: ## clippy without a warning, and the format
	@cargo clippy --workspace --all-targets -- -D warnings
	@cargo fmt --all -- --check
