#!/bin/sh
# A fresh Debian in target/debian-root, for the tests of the packages: as little as it can be, and systemd.
set -eu
cd "$(dirname "$0")/.."
root=$PWD/target/debian-root
[ ! -f "$root/etc/debian_version" ] || exit 0
rm -rf "$root" "$root.new"
debootstrap --variant=minbase --include=ca-certificates,dbus,systemd-sysv bookworm "$root.new" >target/debian-root.log ||
	{ tail -n 20 target/debian-root.log && exit 1; }
rm -rf "$root.new"/var/cache/apt/archives/*.deb
mv "$root.new" "$root"
