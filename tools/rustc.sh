#!/bin/sh
# cargo calls this in place of rustc for this project's own code, and gives it rustc and its arguments: what is built for
# the tests is linted and documented by the way, with warnings as errors. `cargo clippy` and `cargo doc` would look at
# all dependencies once more for it.
set -eu

document() {
	[ $# -gt 0 ] && shift
	count=$#
	while [ "$count" -gt 0 ]; do
		argument=$1
		shift
		count=$((count - 1))
		case $argument in
		-C | --out-dir)
			shift
			count=$((count - 1))
			;;
		--emit=* | --error-format=* | --json=* | *=clippy::*) ;;
		*) set -- "$@" "$argument" ;;
		esac
	done
	rustdoc "$@" -D warnings --document-private-items -o "${CARGO_TARGET_DIR:-target}/doc"
}

case " $* " in
*" --crate-name pointsman "*" --crate-type lib "*) document "$@" ;;
esac
# The form in which cargo-clippy hands its arguments on.
CLIPPY_ARGS="-Dwarnings__CLIPPY_HACKERY__" exec clippy-driver "$@"
