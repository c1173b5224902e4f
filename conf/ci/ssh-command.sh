#!/bin/sh
# What the key of a deploy job may do: the forced command of its line in ~/.ssh/authorized_keys.
#
#   restrict,command="/usr/share/pointsman/ssh-command.sh web" ssh-ed25519 AAAA… ci
#
# ssh-command.sh SERVICE... runs pointsman with the words that were sent, and never a shell. They must deploy one of those
# services, or look at it. Where the admin API has tokens, ~/.pointsman-token holds one of the role deploy.
set -euf

refuse() {
	echo "refused: $1" >&2
	exit 2
}

# may SERVICE NAME...
may() {
	wanted=$1
	shift
	for service in "$@"; do
		[ "$service" != "$wanted" ] || return 0
	done
	refuse "this key is for $*, not for \"$wanted\""
}

sent=${SSH_ORIGINAL_COMMAND:-}
[ -n "$sent" ] || refuse "no shell; send a command, such as: pointsman status $1"
case $sent in
*[!]A-Za-z0-9\ ._:,=/@+[-]*) refuse "send words of letters, digits and ._:,=/@+[]- alone" ;;
esac

services=$*
# shellcheck disable=SC2086 # words, as they were sent; nothing in them has a meaning, and -f keeps names from matching
set -- $sent
[ "${1:-}" = pointsman ] || refuse "pointsman is all that may be run"
shift

case ${1:-} in
deploy | rollback | status | idle | history) at=${2:-} ;;
rollout) at=${3:-} ;;
*) refuse "deploy, rollout, rollback, status, idle and history are all that may be asked for" ;;
esac
# shellcheck disable=SC2086 # a list of names
may "$at" $services
# The token goes to the admin API of this machine, and nowhere else.
for word in "$@"; do
	case $word in
	--admin* | --token* | --ca* | --cert* | --key*) refuse "$word" ;;
	esac
done

token=${HOME:-}/.pointsman-token
if [ -r "$token" ]; then
	POINTSMAN_TOKEN=$(cat "$token")
	export POINTSMAN_TOKEN
fi
exec pointsman "$@"
