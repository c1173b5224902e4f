#!/usr/bin/env bash
# Starts a rollout and follows it to its end, as `pointsman rollout start … --wait` does. Needs bash, curl and jq.
#
# Everything comes from the environment, so that no value is ever read as code:
#   POINTSMAN_ADMIN     URL of the admin API                     POINTSMAN_TOKEN    a token of the role deploy
#   POINTSMAN_SERVICE   what is deployed                         POINTSMAN_TO       the pool that is to become stable
#   POINTSMAN_STRATEGY, POINTSMAN_VERSION, POINTSMAN_POLICY      left empty: the configuration's
#   POINTSMAN_GATE      true or false; empty: the configuration's
#   POINTSMAN_DRY_RUN   true: decide, but move nothing
#   POINTSMAN_IDEMPOTENCY_KEY   the same key starts only once; empty: a new one for each run
#   POINTSMAN_TIMEOUT   how long to wait: 90s, 45m, 2h; empty: until it ends
#
# Exit codes: 0 promoted, 1 error, 2 usage, 3 aborted (traffic is back on stable), 4 timed out (the rollout goes
# on), 5 waiting for approval. Where GitHub asks for them, outputs, annotations and a summary are written too.
set -euo pipefail

# How long the admin API may be away, for a restart, and the longest wait for news, milliseconds.
AWAY_MS=60000
POLL_MS=30000

admin=${POINTSMAN_ADMIN:-http://127.0.0.1:9900}
admin=${admin%/}
key=${POINTSMAN_IDEMPOTENCY_KEY:-$(date +%s)-$$-$RANDOM$RANDOM}
id='' shown=0 in_group='' deadline='' away=''
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

main() {
  settings
  begin
  follow
}

# --- what is told, and where

# A line that GitHub makes an annotation; elsewhere a line on standard error.
annotate() {
  local kind=$1 text=$2
  if [ "${GITHUB_ACTIONS:-}" != true ]; then
    printf '%s: %s\n' "$kind" "$text" >&2
    return
  fi
  text=${text//'%'/%25} text=${text//$'\r'/%0D} text=${text//$'\n'/%0A}
  printf '::%s::%s\n' "$kind" "$text"
}

group() {
  if [ "${GITHUB_ACTIONS:-}" = true ]; then
    in_group=yes
    printf '::group::%s\n' "$1"
  else
    printf '%s\n' "$1"
  fi
}

end_group() {
  [ -z "$in_group" ] || printf '::endgroup::\n'
  in_group=''
}

output() {
  [ -z "${GITHUB_OUTPUT:-}" ] || printf '%s=%s\n' "$1" "$2" >>"$GITHUB_OUTPUT"
}

usage() {
  annotate error "$1"
  exit 2
}

fail() {
  end_group
  output rollout "$id"
  annotate error "$1"
  exit 1
}

# finish CODE OUTCOME TEXT: outputs, summary and annotation from the rollout in "$dir/view".
finish() {
  local code=$1 outcome=$2 text=$3 kind=error reason stable
  end_group
  stable=''
  if call GET "$(service_path)"; then stable=$(field .stable); fi
  cp "$dir/view" "$dir/answer"
  reason=$(field .reason)
  output outcome "$outcome"
  output reason "$reason"
  output stable "$stable"
  summary "$outcome" "$reason" "$stable"
  course
  case $outcome in promoted) kind=notice ;; waiting | running) kind=warning ;; esac
  [ "$(field .dry_run)" != true ] || text+=' (dry run, nothing was moved)'
  annotate "$kind" "$text${stable:+, $stable is stable}${reason:+: $reason}"
  exit "$code"
}

summary() {
  [ -n "${GITHUB_STEP_SUMMARY:-}" ] || return 0
  jq -r --arg outcome "$1" --arg reason "$2" --arg stable "$3" '
    def cell: tostring | gsub("[[:cntrl:]]+"; " ") | gsub("(?<c>[|<>`\\\\])"; "\\\(.c)");
    "### Rollout of \(.service | cell) to \(.to | cell): \($outcome)\(if .dry_run then " (dry run)" else "" end)", "",
    "| | |", "|---|---|",
    "| rollout | \(.id | cell) |", "| version | \(.version // "" | cell) |", "| strategy | \(.strategy | cell) |",
    "| reason | \($reason | cell) |", "| stable now | \($stable | cell) |", "",
    if .failures then "| failed | status | upstream | request id |", "|---|---|---|---|",
      (.failures[] | "| \(.request | cell) | \(.status // .outcome | cell) | \(.upstream // "" | cell) | \(.request_id | cell) |"),
      "" else empty end' \
    "$dir/view" >>"$GITHUB_STEP_SUMMARY"
  # Indented by four: code, whatever it holds.
  [ ! -f "$dir/events" ] || sed 's/^/    /' "$dir/events" >>"$GITHUB_STEP_SUMMARY"
}

# The course as a picture: a file for a later step to upload, since a summary shows no files.
course() {
  [ -n "${RUNNER_TEMP:-}" ] || return 0
  local file="$RUNNER_TEMP/pointsman-course.svg"
  if call GET "$(service_path)/rollouts/$(segment "$id")/course.svg"; then
    cp "$dir/answer" "$file"
    output course "$file"
  fi
  cp "$dir/view" "$dir/answer"
}

# --- the admin API

now_ms() {
  local now=${EPOCHREALTIME//[.,]/}
  printf '%s' "$((now / 1000))"
}

past_deadline() {
  [ -n "$deadline" ] && [ "$(now_ms)" -ge "$deadline" ]
}

segment() {
  jq -rn --arg text "$1" '$text | @uri'
}

service_path() {
  printf '/v1/services/%s' "$(segment "$POINTSMAN_SERVICE")"
}

# A field of the last answer on one line; empty where it has none.
field() {
  jq -r "($1) // \"\" | tostring | gsub(\"[[:cntrl:]]+\"; \" \")" "$dir/answer" 2>/dev/null || true
}

# call METHOD PATH [BODY]: one request; the answer lies in "$dir/answer", its status in $status. Fails, with the
# reason in $problem, where there was no answer, or only one that the API is away.
call() {
  local code=0 command=(curl --silent --show-error --globoff --connect-timeout 5
    --max-time "$((POLL_MS / 1000 + 15))" --request "$1" --header "@$dir/headers" --output "$dir/answer"
    --write-out '%{http_code}')
  [ $# -lt 3 ] || command+=(--header 'Content-Type: application/json' --data-binary "$3")
  : >"$dir/answer"
  status=$("${command[@]}" "$admin$2" 2>"$dir/error") || code=$?
  case $code:$status in
    0:502 | 0:503 | 0:504) problem="it answers $status $(field .detail)" && return 1 ;;
    0:*) return 0 ;;
    # No name, no connection, no TLS, no answer in time, an answer that broke off.
    [67]:* | 28:* | 35:* | 5[256]:*) problem=$(tr '\n' ' ' <"$dir/error") && return 1 ;;
    *) fail "$admin cannot be asked: $(tr '\n' ' ' <"$dir/error")" ;;
  esac
}

# As `call`, again and again while the API is away: reading changes nothing, and the key makes starting harmless.
ask() {
  local since
  since=$(now_ms)
  until call "$@"; do
    if [ -n "$id" ] && past_deadline; then timed_out; fi
    [ "$(($(now_ms) - since))" -lt "$AWAY_MS" ] || fail "the admin API at $admin cannot be reached: $problem"
    [ -n "$away" ] || printf 'the admin API is away, asking again for %s s: %s\n' "$((AWAY_MS / 1000))" "$problem"
    away=yes
    sleep 0.5
  done
  away=''
}

# Fails unless the last answer is what was asked for.
expect_rollout() {
  local text other url
  case $status in
    2??)
      jq -e '.id and .revision' "$dir/answer" >/dev/null 2>&1 ||
        fail "$admin is not the admin API of pointsman: it answers $(head -c 200 "$dir/answer")"
      cp "$dir/answer" "$dir/view"
      return
      ;;
  esac
  text=$(field .detail)
  text=${text:-$admin answers $status}
  text+=$(field 'if (.errors | length) > 1 then [.errors[] | "; \(.path): \(.detail)"] | join("") else "" end')
  other=$(field .rollout)
  url=$(field .rollout_url)
  if [ -n "$other" ]; then
    url=${url:-$(service_path)/rollouts/$(segment "$other")}
    [[ $url != /* ]] || url=$admin$url
    text+="; the rollout $other: $url"
  fi
  [ "$status" != 401 ] || text+='; give a token (role deploy) as POINTSMAN_TOKEN or the input token'
  fail "$text"
}

# --- what is done

settings() {
  local name value number unit
  for name in SERVICE TO; do
    value=POINTSMAN_$name
    [ -n "${!value:-}" ] || usage "$value is empty"
  done
  for name in GATE DRY_RUN; do
    value=POINTSMAN_$name
    case ${!value:-} in '' | true | false) ;; *) usage "$value is ${!value}, not true or false" ;; esac
  done
  [[ $key${POINTSMAN_TOKEN:-} != *[[:cntrl:]]* ]] || usage 'the token and the key must be one line each'
  # In a file: what stands in the arguments is seen by every process of the machine.
  printf 'Idempotency-Key: %s\n' "$key" >"$dir/headers"
  [ -z "${POINTSMAN_TOKEN:-}" ] || printf 'Authorization: Bearer %s\n' "$POINTSMAN_TOKEN" >>"$dir/headers"
  [ -n "${POINTSMAN_TIMEOUT:-}" ] || return 0
  [[ $POINTSMAN_TIMEOUT =~ ^([0-9]{1,9})(ms|s|m|h)$ ]] ||
    usage "POINTSMAN_TIMEOUT is $POINTSMAN_TIMEOUT; write 90s, 45m or 2h"
  number=$((10#${BASH_REMATCH[1]})) unit=${BASH_REMATCH[2]}
  case $unit in s) number=$((number * 1000)) ;; m) number=$((number * 60000)) ;; h) number=$((number * 3600000)) ;; esac
  deadline=$(($(now_ms) + number))
}

begin() {
  local body to
  body=$(jq -n --arg to "$POINTSMAN_TO" --arg strategy "${POINTSMAN_STRATEGY:-}" \
    --arg version "${POINTSMAN_VERSION:-}" --arg policy "${POINTSMAN_POLICY:-}" \
    --arg gate "${POINTSMAN_GATE:-}" --arg dry_run "${POINTSMAN_DRY_RUN:-}" '
    {$to, $strategy, $version, $policy, gate: {"true": true, "false": false}[$gate], dry_run: ($dry_run == "true")}
    | with_entries(select(.value != "" and .value != null))')
  ask POST "$(service_path)/rollouts" "$body"
  expect_rollout
  id=$(field .id)
  to=$(field .to)
  output rollout "$id"
  group "rollout $id: $(field .service), $(field .strategy) from $(field .from) to $to, $(field '.version // "no version"')"
  [ "$status" = 201 ] || printf 'the key %s has started this rollout before; going on with it\n' "$key"
  [ "$to" = "$POINTSMAN_TO" ] ||
    annotate warning "the key $key belongs to a rollout to $to, not to $POINTSMAN_TO; give a key of its own"
}

follow() {
  local after=0 revision outcome left wait
  while true; do
    wait=$POLL_MS
    if [ -n "$deadline" ]; then
      left=$((deadline - $(now_ms)))
      wait=$((left < 0 ? 0 : left < POLL_MS ? left : POLL_MS))
    fi
    ask GET "$(service_path)/rollouts/$(segment "$id")?wait=${wait}ms&after=$after"
    expect_rollout
    revision=$(field .revision) outcome=$(field .outcome) waits_for=$(field .waits_for)
    events "$outcome"
    case $outcome in
      promoted) finish 0 promoted "the rollout $id is promoted" ;;
      ?*) finish 3 "$outcome" "the rollout $id is $outcome" ;;
    esac
    [ "$waits_for" != approval ] ||
      finish 5 waiting "the rollout $id waits for approval (\`pointsman rollout resume\`, then run this again)"
    ! past_deadline || timed_out
    # No news at once: the API is about to stop, and would be asked again without a pause.
    [ "$revision" != "$after" ] || sleep 0.2
    after=$revision
  done
}

timed_out() {
  finish 4 running "timed out; the rollout $id goes on"
}

# Prints the rollout's new rows of history, oldest first. The row of an end is written just after the end: it is
# waited for, but not for long, since a full disk would keep it away.
events() {
  local outcome=$1 tries
  for tries in {1..20}; do
    # What cannot be read now is shown the next time.
    call GET "$(service_path)/history?limit=100" || return 0
    jq -r --arg id "$id" --argjson shown "$shown" '
      [.history[]? | select(.rollout == $id and .id > $shown)] | reverse | .[]
      | "\(.at)  \(.action)  \(.text)" | gsub("[[:cntrl:]]+"; " ")' "$dir/answer" >"$dir/new"
    shown=$(jq --argjson shown "$shown" '[.history[]?.id, $shown] | max' "$dir/answer")
    tee -a "$dir/events" <"$dir/new"
    if [ -z "$outcome" ] || grep -q "^[^ ]*  $outcome  " "$dir/events"; then return 0; fi
    [ "$tries" = 20 ] || sleep 0.1
  done
}

main
