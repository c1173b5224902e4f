# Pointsman's chores. `make demo` and `make test` install what is missing (Debian, Ubuntu), say so, and
# can be run again at any time.
SHELL := /bin/sh
# rustup puts cargo here; a cargo that is found already comes first.
export PATH := $(PATH):$(HOME)/.cargo/bin

.PHONY: help reference format setup setup-test setup-deny setup-bench setup-dist setup-packages demo test check deny alerts fuzz smoke-fuzz lock-fuzz simulate fleet fleet-figures bench compare memory mirror scale soak slow dist reproduce test-packages

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# $(call install,PROGRAM:PACKAGE ...) installs the packages of the programs that are missing.
define install
	@missing=""; for pair in $(1); do \
	  command -v "$${pair%%:*}" >/dev/null 2>&1 || missing="$$missing $${pair##*:}"; \
	done; \
	if [ -n "$$missing" ]; then \
	  echo "installing:$$missing"; \
	  sudo=""; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  $$sudo apt-get update -qq && $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi
endef

setup: ## install what the build needs: cmake, a C compiler, Rust
	$(call install,cmake:cmake cc:gcc c++:g++ make:make curl:curl)
	@command -v cargo >/dev/null 2>&1 || { \
	  echo "installing: Rust, by rustup, for this user"; \
	  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y -q --profile minimal -c clippy -c rustfmt; }

setup-test: setup-deny ## and what the tests need: nginx, wrk, h2load, faketime, jq, promtool, shellcheck, etcd
	$(call install,nginx:nginx wrk:wrk h2load:nghttp2-client ps:procps faketime:faketime jq:jq shellcheck:shellcheck promtool:prometheus etcd:etcd-server python3:python3 node:nodejs)

# Without a browser the tests of the dashboard say that they were left out.
	@command -v chromium-headless-shell >/dev/null 2>&1 || command -v chromium >/dev/null 2>&1 || { \
	  sudo=""; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium-headless-shell >/dev/null 2>&1 \
	    || echo "no browser can be installed: the tests of the dashboard are left out"; \
	}

# Without a daemon the test of real containers says that it was left out.
	@{ command -v dockerd && command -v busybox; } >/dev/null 2>&1 || { \
	  sudo=""; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends docker.io busybox-static >/dev/null 2>&1 \
	    || echo "no Docker daemon can be installed: the test of real containers is left out"; \
	}

# It holds the admin API against its description; without it, that test says that it was left out.
	@venv=$${CARGO_TARGET_DIR:-target}/tools/schemathesis; [ -x "$$venv/bin/schemathesis" ] || { \
	  python3 -m venv "$$venv" && "$$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: -r tools/schemathesis.txt; \
	} || echo "schemathesis cannot be installed: its test of the admin API is left out"

setup-deny: setup
	@python3 -m ensurepip --version >/dev/null 2>&1 || { \
	  echo "installing: python3-venv"; \
	  sudo=""; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  $$sudo apt-get update -qq && $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null; \
	}

setup-bench: setup-test ## and what the comparison needs: haproxy
	$(call install,haproxy:haproxy)

demo: setup ## build, then show a good and a bad rollout
	cargo build --release --locked
	target/release/pointsman demo

# The tests' build is linted and documented by the way: see tools/rustc.sh.
test: export RUSTC_WORKSPACE_WRAPPER := $(CURDIR)/tools/rustc.sh
test: setup-test deny format ## everything that CI checks
	cargo test --locked --all-targets
	$(MAKE) --no-print-directory alerts
	env -u RUSTC_WORKSPACE_WRAPPER $(MAKE) --no-print-directory smoke-fuzz

check: format ## format, lints, shell scripts and documentation, with warnings as errors
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --lib --document-private-items --quiet

format: setup-test
	cargo fmt --check
	cargo fmt --check --manifest-path fuzz/Cargo.toml
	shellcheck conf/github-action/*.sh conf/ci/*.sh conf/debian/post* fuzz/*.sh tools/*.sh

deny: setup-deny ## licences, sources, banned crates and advisories of all that is compiled in
	tools/deny.sh

reference: ## write docs/config.md, docs/config, the schema and the table of nginx's directives, of what reads them
	POINTSMAN_REFERENCE=write cargo test --locked --lib -- config::tests::reference config::tests::schema nginx::tests::directives

alerts: setup-test ## check and test the alert rules, and check the scrape example
	promtool check rules conf/prometheus/alerts.yml
	promtool test rules conf/prometheus/alerts_test.yml
	promtool check config --syntax-only conf/prometheus/prometheus.yml

SECONDS ?= 60
TARGET ?=
fuzz: setup ## fuzz the parsers of ours for SECONDS=60 each, or TARGET=config alone
	fuzz/run.sh $(SECONDS) $(TARGET)

smoke-fuzz: setup ## build the fuzz targets and run them for a moment, the same each time
	fuzz/run.sh smoke

lock-fuzz: setup ## lock the fuzz targets to the versions of Cargo.lock, after that has changed
	cp Cargo.lock fuzz/Cargo.lock
	cargo update --quiet --workspace --manifest-path fuzz/Cargo.toml

SEEDS ?= 1000000
RUNS ?= 100
FLEET_SEEDS ?= 50000
simulate: setup ## run the simulation of rollouts longer: make simulate SEEDS=1000000
	POINTSMAN_SEEDS=$(SEEDS) cargo test --release --locked --lib -- --nocapture random_runs no_client_and_no_limit

fleet: setup ## simulate a fleet: its verdict with the figures (RUNS=100), its members over a store, with all compares and without each (FLEET_SEEDS=50000)
	POINTSMAN_RUNS=$(RUNS) cargo test --release --locked --lib -- --nocapture fleet::evidence
	POINTSMAN_SEEDS=$(FLEET_SEEDS) cargo test --release --locked --lib -- --nocapture fleet::simulation

bench: setup-test ## the benchmarks of the core, and how fast a revert is
	cargo bench --locked --bench core --bench reaction

# QUICK=1: shorter. ROWS=small,post: these rows alone. BINARY=before,after: other binaries, beside each other.
compare: setup-bench ## CPU a request and p99 beside nginx and haproxy (12 minutes; QUICK=1: 3; ROWS=, BINARY=)
	cargo bench --locked --bench compare

memory: setup-bench ## what idle, silent and unread clients cost in memory, beside nginx (5 minutes; QUICK=1, BINARY=)
	cargo bench --locked --bench compare -- memory

mirror: setup-test ## what the mirror costs: CPU without a rollout, latency of originals with one (3 minutes)
	cargo bench --locked --bench mirror

scale: setup-test ## a thousand services: a flip, a revert, the idle CPU, a start (2 minutes)
	cargo bench --locked --bench scale

# ROWS=verdict,steps: these rows alone. SIZES=3: these numbers of instances. RUNS=20. OUTAGE=60: seconds without etcd. QUICK=1: shorter.
fleet-figures: setup-test ## the figures of a fleet: 3 and 10 instances over three members of etcd (20 minutes; QUICK=1: 6; ROWS=)
	cargo bench --locked --bench fleet

MINUTES ?= 10
soak: setup-test ## every kind of client for MINUTES=10: whether memory and file descriptors stay flat
	MINUTES=$(MINUTES) cargo bench --locked --bench soak -- mixed

slow: setup-test ## no file descriptors left and back again; 10,000 slow clients beside others (3 minutes)
	cargo bench --locked --bench soak -- exhausted slow

# Of one version each, so that the same commit gives the same bytes.
setup-dist: setup-deny ## and what a release needs: musl, cargo-deb, cargo-cyclonedx
	$(call install,musl-gcc:musl-tools jq:jq xz:xz-utils dpkg-shlibdeps:dpkg-dev objcopy:binutils git:git)
	@[ -x target/tools/bin/pip ] || python3 -m venv target/tools
	cargo install --quiet --locked --root target/tools cargo-deb@3.8.0 cargo-cyclonedx@0.5.9

setup-packages: setup-test ## and what the tests of the packages need: debootstrap, systemd-nspawn, sshd, lintian
	$(call install,debootstrap:debootstrap systemd-nspawn:systemd-container sshd:openssh-server lintian:lintian ip:iproute2 curl:curl)

dist: setup-dist ## a release, in target/dist: .deb, static binary, image, debug information, SBOM, sums
	tools/dist.sh

reproduce: dist ## whether it can be built again from another folder: the same bytes
	tools/reproduce.sh

test-packages: setup-packages ## install, upgrade under load and remove the .deb, run the image, deploy by ssh (needs root, and make dist)
	tools/debian-root.sh
	cargo test --locked --test it -- --ignored --nocapture --test-threads 1 packages::
