#!/bin/sh
# Makes what a release consists of, in target/dist: the .deb, the static binary, the image, the debug information of both
# binaries, the list of what is compiled in (SBOM), and the sums of all. `make dist` installs what it needs. With the
# argument `static`: the archive with the static binary, and the image.
#
# The same commit gives the same bytes: no path of this machine and no time but the commit's is in them (`make reproduce`).
# The code is what `cargo build --release` makes, and what is measured; only the debug information is split off.
set -eu
cd "$(dirname "$0")/.."
unset RUSTC_WORKSPACE_WRAPPER RUSTFLAGS CARGO_TARGET_DIR
export LC_ALL=C TZ=UTC
umask 022

root=$PWD
tools=$root/target/tools
work=$root/target/package
dist=$root/target/dist
machine=$(uname -m)
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
name=pointsman-$version-$machine-linux
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
PATH=$tools/bin:$PATH

case $machine in
x86_64) debian=amd64 ;;
aarch64) debian=arm64 ;;
*) echo "no release is made for $machine; write its name at Debian into tools/dist.sh" >&2 && exit 1 ;;
esac

# build TARGET KIND [FLAG]...: the binary into target/package/KIND, its debug information beside it. The flags are for the
# last step alone, which links: what is compiled before is shared.
build() {
	target=$1 kind=$2
	shift 2
	cargo_home=${CARGO_HOME:-$HOME/.cargo}
	flags="-Clink-arg=-Wl,--build-id=sha1"
	for flag in "--remap-path-prefix=$root=." "--remap-path-prefix=$cargo_home=/cargo" \
		"--remap-path-prefix=$("${RUSTC:-rustc}" --print sysroot)=/rust"; do
		flags=$flags$(printf '\037')$flag
	done
	CARGO_ENCODED_RUSTFLAGS=$flags CFLAGS="-ffile-prefix-map=$root=. -ffile-prefix-map=$cargo_home=/cargo" \
		cargo rustc --release --locked --bin pointsman --target "$target" --target-dir "target/${target##*-}" -- "$@"
	split "target/${target##*-}/$target/release/pointsman" "$work/$kind"
}

split() {
	mkdir -p "$2"
	objcopy --only-keep-debug "$1" "$2/pointsman.debug"
	strip -o "$2/pointsman" "$1"
	# gdb finds it by the build id, or by this name beside the binary.
	(cd "$2" && objcopy --add-gnu-debuglink=pointsman.debug pointsman)
}

# musl's standard library where rustup has it; else Debian's source of it (tools/musl.sh); else glibc, linked in. Each way
# gives other bytes, and says itself. jemalloc's crate warns that background threads are not supported with musl; they run, and
# tests/it/packages/image.rs holds it.
build_static() {
	musl=$machine-unknown-linux-musl
	if [ -d "$(rustc --print sysroot)/lib/rustlib/$musl/lib" ]; then
		echo "The static binary has musl, of rustup."
		build "$musl" static
	elif tools/musl.sh; then
		echo "The static binary has musl, compiled by Debian's rustc: rustup has no standard library for $musl."
		(
			export RUSTC="$tools/musl/rustc" RUSTC_BOOTSTRAP=1 CARGO_UNSTABLE_BUILD_STD=std,panic_unwind
			export CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER="$tools/musl/cc"
			build "$musl" static -Clink-self-contained=no
		)
	else
		echo "The static binary has glibc: there is no standard library for $musl (rustup target add $musl)."
		build "$machine-unknown-linux-gnu" static -Ctarget-feature=+crt-static
	fi
}

# archive FILE FOLDER: the same bytes for the same files.
archive() {
	tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --format=gnu \
		-C "$(dirname "$2")" -c "$(basename "$2")" >"$work/archive.tar"
	case $1 in
	*.gz) gzip -9 -n <"$work/archive.tar" >"$1" ;;
	*.xz) xz -6 -T1 <"$work/archive.tar" >"$1" ;;
	esac
}

# What a package holds beside the binary.
lay_out() {
	mkdir -p "$work/completions" "$work/systemd"
	"$work/static/pointsman" man --dir "$work/man" >/dev/null
	"$work/static/pointsman" completions bash >"$work/completions/pointsman"
	"$work/static/pointsman" completions zsh >"$work/completions/_pointsman"
	"$work/static/pointsman" completions fish >"$work/completions/pointsman.fish"
	sed 's,/usr/local/bin/,/usr/bin/,; s,^# For /etc/systemd/system\. ,# ,' conf/pointsman.service \
		>"$work/systemd/pointsman.service"
	gzip -9 -n <CHANGELOG.md >"$work/changelog.gz"
	cat >"$work/changelog.Debian" <<-END
		pointsman ($version-1) unstable; urgency=medium

		  * What changed stands in changelog.gz beside this file.

		 -- Pointsman <maintainers@pointsman.example>  $(date -R -d "@$SOURCE_DATE_EPOCH")
	END
}

package() {
	cp "$work/gnu/pointsman" "$work/pointsman"
	cargo deb --locked --no-build --no-strip --output "$dist/pointsman_$version-1_$debian.deb"
}

static() {
	mkdir -p "$work/$name/conf"
	cp "$work/static/pointsman" LICENSE "$work/$name/"
	cp -R "$work/man" "$work/completions" "$work/$name/"
	cp conf/pointsman.toml conf/minimal.toml conf/pointsman.service "$work/$name/conf/"
	archive "$dist/$name.tar.gz" "$work/$name"
}

debug() {
	mkdir -p "$work/$name-debug"
	cp "$work/gnu/pointsman.debug" "$work/$name-debug/"
	cp "$work/static/pointsman.debug" "$work/$name-debug/pointsman-static.debug"
	archive "$dist/$name-debug.tar.xz" "$work/$name-debug"
}

image() {
	"$tools/bin/pip" download --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: \
		--dest "$work/authorities" -r tools/authorities.txt
	python3 -m zipfile -e "$work"/authorities/certifi-*.whl "$work/authorities"
	tools/image.py "$version" "$debian" "$work/static/pointsman" "$work/authorities/certifi/cacert.pem" \
		conf/docker/pointsman.toml "$dist/pointsman-$version-image-$debian.tar"
}

# CycloneDX, of what is compiled in: no tests, no other systems.
bill() {
	cargo cyclonedx --quiet --format json --target "$machine-unknown-linux-gnu" --override-filename pointsman-bill
	# It names the folder that it was made in.
	sed "s,file://$root,file:///pointsman,g" pointsman-bill.json >"$dist/pointsman-$version-$machine.cdx.json"
	rm pointsman-bill.json
}

rm -rf "$work" "$dist"
mkdir -p "$work" "$dist"
[ "${1:-}" = static ] || build "$machine-unknown-linux-gnu" gnu
build_static
lay_out
static
image
if [ "${1:-}" != static ]; then
	package
	debug
	bill
fi
(cd "$dist" && sha256sum -- * >"$work/sums" && mv "$work/sums" SHA256SUMS && ls -l && cat SHA256SUMS)
