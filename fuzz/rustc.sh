#!/bin/sh
# cargo calls this in place of rustc, and gives it rustc and its arguments: only this project's own code is
# made to count its coverage. Its dependencies are taken as the main workspace has built them, which flags
# for all would not allow. The flags are those of cargo-fuzz, and known to stable toolchains.
rustc=$1
shift
crate='' before=''
for argument in "$@"; do
	case "$before $argument" in
	"--crate-name pointsman") crate=ours ;;
	"--cfg fuzzing") exec "$rustc" "$@" ;; # cargo-fuzz has set its own
	esac
	before=$argument
done
if [ "$crate" = ours ]; then
	set -- "$@" -Cpasses=sancov-module \
		-Cllvm-args=-sanitizer-coverage-level=4 \
		-Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
		-Cllvm-args=-sanitizer-coverage-pc-table \
		-Cllvm-args=-sanitizer-coverage-trace-compares
fi
exec "$rustc" "$@"
