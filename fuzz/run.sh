#!/bin/sh
# Runs the fuzz targets, all or those named: fuzz/run.sh SECONDS [TARGET]...
# fuzz/run.sh smoke is short, begins with the seeds alone and does the same each time.
set -eu
cd "$(dirname "$0")"
mode=$1
shift
[ $# -gt 0 ] || for file in fuzz_targets/*.rs; do set -- "$@" "$(basename "$file" .rs)"; done

cargo build --locked --quiet
built=${CARGO_TARGET_DIR:-../target}

for target in "$@"; do
	work=$built/fuzz/$target
	case $mode in
	smoke)
		work=$built/fuzz/smoke/$target
		rm -rf "$work"
		limits="-seed=1 -runs=20000 -max_total_time=2 -timeout=300"
		;;
	*) limits="-max_total_time=$mode -timeout=10" ;;
	esac
	mkdir -p "$work/corpus"
	[ ! -f "dictionaries/$target" ] || limits="$limits -dict=dictionaries/$target"
	case $target in
	config) seeds=-seed_inputs=../conf/minimal.toml,../conf/docker/pointsman.toml,../conf/pointsman.toml ;;
	nginx_import) seeds=../tests/it/nginx limits="$limits -max_len=2048" ;;
	*) seeds= ;;
	esac
	# shellcheck disable=SC2086 # several words each
	if ! "$built/debug/$target" $limits -print_final_stats=1 -artifact_prefix="$work/" \
		"$work/corpus" "corpus/$target" $seeds >"$work/log" 2>&1; then
		tail -n 40 "$work/log"
		echo "$target failed; again: $built/debug/$target FILE, in fuzz/. Once mended, add the file to fuzz/corpus/$target."
		exit 1
	fi
	echo "$target:$(sed -n 's/.*DONE *//p' "$work/log" | tail -n 1)"
done
