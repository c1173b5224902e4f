#!/bin/sh
# Deploys a version to the colour that has no traffic, and waits for the verdict: ./deploy.sh VERSION
#
# Exits with 0 promoted, 3 aborted (all traffic is where it was), 4 timed out, 1 anything else.
set -eu
cd "$(dirname "$0")"

version=${1:?name the version: ./deploy.sh v2}
service=web

pointsman() {
  docker compose exec -T pointsman /usr/local/bin/pointsman "$@"
}

idle=$(pointsman idle "$service")
echo "deploying $version to $idle"

# What each colour runs is kept in .env, so that a later `docker compose up` starts the same.
variable=$(printf '%s_VERSION' "$idle" | tr '[:lower:]' '[:upper:]')
touch .env
grep -v "^$variable=" .env >.env.new || true
printf '%s=%s\n' "$variable" "$version" >>.env.new
mv .env.new .env

docker compose up -d --no-deps --force-recreate "$idle"
pointsman rollout start "$service" --to "$idle" --version "$version" --wait --timeout 45m
