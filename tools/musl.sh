#!/bin/sh
# Makes target/tools/musl, a compiler for musl, where rustup has no standard library for it: Debian's rustc, and the source of
# its standard library, which cargo compiles along. The packages are unpacked and not installed: an installed rustc may
# stand before rustup's. apt verifies them by Debian's signatures. Where no compiler can be made, one line says why.
set -eu
cd "$(dirname "$0")/.."
export LC_ALL=C

# Another version is another compiler, and other bytes: after a change, `make reproduce`.
rust=1.96.0+dfsg1-1~deb12u2
llvm=1:22.1.8-1~deb12u1
unwinder=1:14.0.6-12
packages="rustc-web=$rust libstd-rust-web-1.96=$rust libstd-rust-web-dev=$rust rust-web-src=$rust libllvm22=$llvm
	libunwind-14-dev=$unwinder libbsd0 libedit2 libffi8 libicu72 liblzma5 libmd0 libtinfo6 libxml2 libz3-4"

folder=$PWD/target/tools/musl
made=$folder.new
machine=$(uname -m)

refuse() {
	echo "no compiler for musl by Debian's packages: $1" >&2
	exit 1
}

# A list that is older than a package does not name it.
lists() {
	apt-cache show "rustc-web=$rust" >/dev/null 2>&1 && return
	sudo=""
	[ "$(id -u)" = 0 ] || sudo=sudo
	$sudo apt-get update -qq >"$made/log" 2>&1 || true
}

fetch() {
	for name in $packages; do echo "$name"; done | (
		cd "$made/packages"
		xargs apt-get download -qq -o APT::Get::AllowUnauthenticated=false -o Acquire::AllowInsecureRepositories=false
	) >"$made/log" 2>&1
}

# The source of the compiler itself, its documentation and its other programs are left out.
unpack() {
	for package in "$made"/packages/*.deb; do dpkg -x "$package" "$made/unpacked"; done
	source=$(echo "$made"/unpacked/usr/src/rustc-*)
	mkdir -p "$made/usr/bin" "$made/usr/lib/rustlib/src/rust" "$made/native"
	mv "$made/unpacked/usr/bin/rustc" "$made/usr/bin/"
	mv "$made/unpacked/usr/lib/$machine-linux-gnu" "$made/usr/lib/"
	mv "$made/unpacked/usr/lib/rustlib/$machine-unknown-linux-gnu" "$made/usr/lib/rustlib/"
	mv "$source/library" "$made/usr/lib/rustlib/src/rust/"
	cp "$made/unpacked/usr/lib/llvm-14/lib/libunwind.a" "$made/native/"
	rm -r "$made/unpacked" "$made/packages"
}

# LLVM's unwinder was compiled for glibc. gcc's would need more of it: `_dl_find_object`.
unwinder() {
	cat >"$made/native/checked.c" <<-'END'
		#include <stdarg.h>
		#include <stdio.h>
		int __fprintf_chk(FILE *to, int flag, const char *format, ...) {
			va_list rest;
			va_start(rest, format);
			int written = vfprintf(to, format, rest);
			va_end(rest);
			return written;
		}
	END
	musl-gcc -O2 -fPIC -c -o "$made/native/checked.o" "$made/native/checked.c"
	ar rD "$made/native/libunwind.a" "$made/native/checked.o"
}

# Both find the folder by their own names: it may be copied. musl-gcc knows no static-pie, and an address that is the
# same in every process helps those who attack it: the specs are musl-gcc's with another start and another link.
programs() {
	cat >"$made/rustc" <<-'END'
		#!/bin/sh
		folder=$(dirname "$0")
		LD_LIBRARY_PATH=$folder/usr/lib/$(uname -m)-linux-gnu exec "$folder/usr/bin/rustc" "$@"
	END
	cat >"$made/cc" <<-'END'
		#!/bin/sh
		folder=$(dirname "$0")
		exec gcc -L"$folder/native" "$@" -lgcc -specs "$folder/static-pie.specs"
	END
	chmod +x "$made/rustc" "$made/cc"
	sed -e 's,/Scrt1\.o,/rcrt1.o,' -e 's,^-dynamic-linker .*,-nostdlib -static -pie --no-dynamic-linker -z text,' \
		"/usr/lib/$machine-linux-musl/musl-gcc.specs" >"$made/static-pie.specs"
}

[ "$(cat "$folder/made-of" 2>/dev/null)" != "$packages" ] || exit 0
[ "$machine" = x86_64 ] || refuse "it was tried on x86_64 alone"
command -v musl-gcc >/dev/null || refuse "musl-gcc is missing (apt-get install musl-tools)"
command -v apt-get >/dev/null || refuse "there is no apt-get"
rm -rf "$made"
trap 'rm -rf "$made"' EXIT
mkdir -p "$made/packages"
lists
fetch || refuse "$(grep -E '^E: ' "$made/log" | head -n 1)"
unpack
unwinder
programs
"$made/rustc" --version >/dev/null 2>"$made/log" || refuse "$(head -n 1 "$made/log")"
echo "$packages" >"$made/made-of"
rm -rf "$folder"
mv "$made" "$folder"
