#!/bin/sh
# Waits for the end of a rollout: wait.sh SERVICE ROLLOUT
# Exits with 0 if it was promoted, 3 if it was aborted, 5 while it waits for approval.
#
# Each call waits up to 30 s for news since the revision that was seen last; nothing is missed in between, and
# a restart of pointsman is sat out (--retry).
set -eu
rollout="${POINTSMAN_ADMIN:-http://127.0.0.1:9900}/v1/services/$1/rollouts/$2"

after=0
while true; do
  view=$(curl --silent --show-error --fail --retry 20 --retry-delay 1 --retry-all-errors \
    --header "Authorization: Bearer ${POINTSMAN_TOKEN:-}" "$rollout?wait=30s&after=$after")
  printf '%s\n' "$view" | jq -r '"\(.phase) \(.weight) % \(.verdict.state) \(.reason // "")"'
  case $(printf '%s\n' "$view" | jq -r '.outcome // .waits_for') in
    promoted) exit 0 ;;
    aborted) exit 3 ;;
    approval) exit 5 ;;
  esac
  after=$(printf '%s\n' "$view" | jq .revision)
done
