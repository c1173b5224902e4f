#!/bin/sh
# Whether a release can be built again: what `make dist` made of this commit, against the same in another folder, from
# nothing but the commit. With the argument `static`: the static binary and the image alone, in half of the time.
set -eu
cd "$(dirname "$0")/.."
[ -z "$(git status --porcelain)" ] || { echo "there are changes that are not committed; a release has none" >&2 && exit 1; }
here=$PWD
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH

elsewhere=$(mktemp -d)
trap 'rm -rf "$elsewhere"' EXIT
mkdir -p "$elsewhere/another/place/target/tools"
cd "$elsewhere/another/place"
git -C "$here" archive HEAD | tar -x
for tool in "$here"/target/tools/*; do
	case $tool in
	# The crates of a standard library have names that hold their folder, as seen from the workspace.
	*/musl) cp -R "$tool" target/tools/ ;;
	*) ln -s "$tool" target/tools/ ;;
	esac
done
tools/dist.sh "$@" >"$elsewhere/log" 2>&1 || { tail -n 40 "$elsewhere/log" && exit 1; }
while read -r sum file; do
	grep -qxF "$sum  $file" "$here/target/dist/SHA256SUMS" || { echo "not the same bytes: $file" >&2 && exit 1; }
	echo "the same bytes: $file"
done <target/dist/SHA256SUMS
