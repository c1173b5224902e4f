#!/bin/sh
# The deploy job's part of a rolling update, where no hook is configured: rolling.sh SERVICE ROLLOUT COMMAND...
#
# Pointsman drains one upstream after the other. Each that is out (stage `updating`) is brought up to date by
# COMMAND, which gets its address as the last argument; then we give the word, and it is checked and serves again.
# COMMAND may run twice for an address if this script is started again. Exits with 0 promoted, 3 aborted.
set -eu
service=$1 id=$2
shift 2
base="${POINTSMAN_ADMIN:-http://127.0.0.1:9900}/v1/services/$service"

ask() {
  curl --silent --show-error --globoff --fail-with-body --retry 20 --retry-delay 1 \
    --header "Authorization: Bearer ${POINTSMAN_TOKEN:-}" "$@"
}

after=0
while true; do
  view=$(ask --retry-all-errors "$base/rollouts/$id?wait=30s&after=$after")
  after=$(printf '%s\n' "$view" | jq .revision)
  pool=$(printf '%s\n' "$view" | jq -r .to)
  for upstream in $(printf '%s\n' "$view" | jq -r '.instances[]? | select(.stage == "updating").upstream'); do
    echo "updating $upstream"
    "$@" "$upstream"
    ask --retry-connrefused --request POST "$base/pools/$pool/upstreams/$upstream/ready" >/dev/null
  done
  case $(printf '%s\n' "$view" | jq -r .outcome) in
    promoted) exit 0 ;;
    aborted)
      printf '%s\n' "$view" | jq -r '"aborted: \(.reason)"' >&2
      exit 3
      ;;
  esac
done
