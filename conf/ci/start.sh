#!/bin/sh
# Starts a rollout with one curl and prints it: start.sh SERVICE POOL VERSION [KEY]
#
# The key makes a second call harmless: it answers with the rollout that the first one started. 409 means that
# another rollout runs; the answer names it.
set -eu
service=$1 pool=$2 version=$3 key=${4:-$3}

curl --silent --show-error --fail-with-body \
  --header "Authorization: Bearer ${POINTSMAN_TOKEN:-}" \
  --header "Idempotency-Key: $key" \
  --header 'Content-Type: application/json' \
  --data "{\"to\": \"$pool\", \"version\": \"$version\"}" \
  "${POINTSMAN_ADMIN:-http://127.0.0.1:9900}/v1/services/$service/rollouts"
