# What a developer does with elbow. `make` alone lists it. Each target installs what it needs.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# One profile for everything that runs, so that wasmtime and the AWS SDK are built once.
CARGO := cargo
RELEASE := --release --locked

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: toolchain ## Sample logs from an S3 server through the built-in mapping to a TCP receiver, all started here
	$(CARGO) run $(RELEASE) --package elbow -- demo

.PHONY: test
test: toolchain receivers tools ## All tests: the library's, the guests', and those over real sockets
	$(CARGO) test $(RELEASE) --workspace
	$(CARGO) test $(RELEASE) --workspace --features elbow/planted-bugs --test integration -- \
		closing_without_waiting half_written_connection

.PHONY: soak
soak: toolchain receivers ## The fault harness for SEEDS=10000 seeds, from FROM=0 on; with BUG=name, one of its planted bugs
	SEEDS=$(or $(SEEDS),10000) FROM=$(or $(FROM),0) BUG=$(BUG) $(CARGO) test $(RELEASE) --workspace \
		$(if $(BUG),--features elbow/planted-bugs) --test integration whatever_the_network_does -- --nocapture

# cargo-fuzz wants a nightly compiler; this one, told that it is one, does. The seeds are the golden cases.
FUZZED := alb alb-connection alb-health-check classic-elb cloudfront cloudtrail nlb s3-access vpc-flow waf lines json
SEEDED = $(if $(filter lines,$(TARGET)),classic-elb,$(if $(filter json,$(TARGET)),cloudtrail,$(TARGET)))
.PHONY: fuzz
fuzz: toolchain target/fuzz/bin/cargo-fuzz ## Fuzz TARGET=alb, or another format, or `lines` or `json` for the framing, for FOR=600 seconds
	@[[ " $(FUZZED) " == *" $(TARGET) "* ]] || { echo "TARGET is one of: $(FUZZED)"; exit 1; }
	mkdir -p target/fuzz/corpus/$(TARGET) target/fuzz/seeds/$(SEEDED)
	cp tests/cases/$(SEEDED)/*.log target/fuzz/seeds/$(SEEDED)
	RUSTC_BOOTSTRAP=1 ASAN_OPTIONS=malloc_context_size=1 target/fuzz/bin/cargo-fuzz run --target-dir $(CURDIR)/target/fuzz \
		$(if $(filter lines json,$(TARGET)),--features host) $(TARGET) target/fuzz/corpus/$(TARGET) target/fuzz/seeds/$(SEEDED) \
		-- -max_total_time=$(or $(FOR),600) -max_len=4096 -timeout=20 -print_final_stats=1

target/fuzz/bin/cargo-fuzz: Makefile
	$(CARGO) install --quiet --locked cargo-fuzz --version 0.13.2 --root target/fuzz
	@touch $@

.PHONY: install
install: toolchain ## elbow into ~/.cargo/bin
	$(CARGO) install --locked --path host

.PHONY: lint
lint: toolchain ## Formatting and clippy, warnings as errors
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check
	$(CARGO) clippy $(RELEASE) --workspace --all-targets --all-features -- --deny warnings

.PHONY: doc
doc: toolchain ## The documentation of the host and of the SDK, in target/doc; warnings as errors
	RUSTDOCFLAGS="--deny warnings" $(CARGO) doc $(RELEASE) --workspace --all-features --no-deps --document-private-items

.PHONY: bench
bench: toolchain ## Records per CPU second, the mapping alone and from a gzip file to TCP, beside vrl; and the time to start
	$(CARGO) build $(RELEASE) --manifest-path host/benches/vrl/Cargo.toml --target-dir target/vrl
	ELBOW_BENCH_VRL=$(CURDIR)/target/vrl/release/vrl-alb \
		$(CARGO) bench --locked --package elbow --bench throughput --bench startup

# Lambda's names of the architectures.
ARCH ?= arm64
lambda_cpu = $(if $(filter arm64,$(ARCH)),aarch64,$(if $(filter x86_64,$(ARCH)),x86_64,$(error ARCH is arm64 or x86_64)))
lambda_target = $(lambda_cpu)-unknown-linux-musl
lambda_folder = target/lambda/$(ARCH)

# One static binary for each architecture, whatever this machine is: zig is the C compiler and the linker.
.PHONY: lambda
lambda: toolchain target/zig/installed ## The Lambda function's package for ARCH=arm64 (or x86_64), with CONFIG=host/deploy/lambda.toml
	@if command -v rustup >/dev/null; then \
		rustup target list --installed | grep -qx $(lambda_target) || rustup target add $(lambda_target); \
	fi
	$(CARGO) build $(RELEASE) --package elbow
	PATH="$(CURDIR)/target/zig/bin:$$PATH" $(CARGO) zigbuild --locked --profile lambda --package elbow \
		--no-default-features --target $(lambda_target)
	mkdir -p $(lambda_folder)
	cp target/$(lambda_target)/lambda/elbow $(lambda_folder)/bootstrap
	cp $(or $(CONFIG),host/deploy/lambda.toml) $(lambda_folder)/elbow.toml
	target/release/elbow compile aws --target $(lambda_cpu) --output $(lambda_folder)/aws.cwasm
	rm -f target/lambda/elbow-$(ARCH).zip
	cd $(lambda_folder) && python3 -m zipfile -c ../elbow-$(ARCH).zip bootstrap elbow.toml aws.cwasm
	@ls -l $(lambda_folder)/* target/lambda/elbow-$(ARCH).zip

target/zig/installed: Makefile
	python3 -m venv target/zig
	target/zig/bin/pip install --quiet --disable-pip-version-check cargo-zigbuild==0.24.1 ziglang==0.17.1
	@touch $@

.PHONY: guests
guests: toolchain ## The built-in mapping and the examples as components, in target/guest/wasm32-wasip2/guest
	$(CARGO) build --locked --profile guest --target wasm32-wasip2 --target-dir target/guest \
		--package guest-parser --lib --examples

# What tests need that is no crate: a log receiver, and the judge of systemd's units.
.PHONY: receivers
receivers:
	@if ! [ -x /usr/sbin/rsyslogd ] || ! ls /usr/lib/*/rsyslog/lmnsd_ossl.so >/dev/null 2>&1 || \
		! command -v systemd-analyze >/dev/null; then \
		command -v apt-get >/dev/null || \
			{ echo "install rsyslog with its OpenSSL driver, and systemd"; exit 1; }; \
		sudo=$$([ $$(id -u) = 0 ] || echo sudo); \
		$$sudo apt-get update -qq && \
		$$sudo apt-get install -y -qq --no-install-recommends rsyslog rsyslog-openssl systemd; \
	fi

# Servers and linters that are Python programs, in an environment of their own.
.PHONY: tools
tools: target/tools/installed
target/tools/installed: tests/requirements.txt
	@python3 -c 'import ensurepip, venv' 2>/dev/null || { \
		command -v apt-get >/dev/null || { echo "install Python 3 with its module venv"; exit 1; }; \
		sudo=$$([ $$(id -u) = 0 ] || echo sudo); \
		$$sudo apt-get update -qq && $$sudo apt-get install -y -qq --no-install-recommends python3-venv; }
	python3 -m venv target/tools
	target/tools/bin/pip install --quiet --disable-pip-version-check --requirement tests/requirements.txt
	@touch $@

# Where rustup installs targets by itself, rust-toolchain.toml is enough. Only when it is missing: adding a target may
# replace files under a build that is running.
.PHONY: toolchain
toolchain:
	@command -v cargo >/dev/null || { echo "elbow is built with Rust: install rustup first (https://rustup.rs)"; exit 1; }
	@if command -v rustup >/dev/null; then \
		rustup show active-toolchain >/dev/null 2>&1 || rustup toolchain install; \
		rustup target list --installed | grep -qx wasm32-wasip2 || rustup target add wasm32-wasip2; \
	fi
