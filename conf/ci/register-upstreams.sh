#!/bin/sh
# Tells the addresses of a fresh deploy, before its rollout: register-upstreams.sh SERVICE POOL ADDRESS...
#
# They replace the pool's set, over restarts and reloads too, and get no traffic before their first passed check.
# DELETE on the same path goes back to the addresses of the configuration.
set -eu
service=$1 pool=$2
shift 2

curl --silent --show-error --fail-with-body --request PUT \
  --header "Authorization: Bearer ${POINTSMAN_TOKEN:-}" \
  --header 'Content-Type: application/json' \
  --data "$(jq -n '{upstreams: $ARGS.positional}' --args "$@")" \
  "${POINTSMAN_ADMIN:-http://127.0.0.1:9900}/v1/services/$service/pools/$pool/upstreams"
