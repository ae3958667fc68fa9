#!/bin/sh
# The runbook "replace a failed disk", played on the living demo store (scripts/demo): first the disk of a
# replica is lost and replaced, then that of a primary. Shows each command with what it answers; ends with status 1 as
# soon as something is not as the runbook says.
set -eu
cd "$(dirname "$0")/.."

KVSH=${KVSH_BUILD:-build}/kvsh
DEMO=${KVSH_DEMO_DIR:-build/demo}
KEY=/FIRST_KEY
VALUE="HELLO WORLD"

fail() {
    echo "examples/replace-disk.sh: $*" >&2
    exit 1
}

headline() {
    printf '\n== %s\n' "$*"
}

# kv STATUS WORD...: runs a command that has to end with this status; its output is in $answer, too.
kv() {
    want=$1
    shift
    echo "kv-> $*"
    status=0
    answer=$("$KVSH" -config "$DEMO/kvsh.conf" "$@" 2>&1 </dev/null) || status=$?
    printf '%s\n' "$answer"
    [ "$status" = "$want" ] || fail "exit status $status, not $want"
}

answered() {
    printf '%s\n' "$answer" | grep -q -e "$1" || fail "the answer lacks: $1"
}

# The service of that role (MASTER, REPLICA) whose files have the value, and its storage directory.
find_service() {
    tries=0
    until [ "$(grep -rlaF "$VALUE" "$DEMO"/sn*/disk*/*/env | sed 's|/env/.*||' | sort -u | wc -l)" = 3 ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] || fail "the value is not in the files of three services"
        sleep 0.1
    done
    states=$("$KVSH" -config "$DEMO/kvsh.conf" ping)
    for folder in $(grep -rlaF "$VALUE" "$DEMO"/sn*/disk*/*/env | sed 's|/env/.*||' | sort -u); do
        service=$(basename "$folder")
        if printf '%s\n' "$states" | grep -q "\[$service\].*RUNNING,$1"; then
            directory=$(dirname "$folder")
            node=$(basename "$(dirname "$directory")")
            return
        fi
    done
    fail "no $1 has the value"
}

wait_for_log() {
    tries=0
    until [ "$(grep -c "ERROR.*$service.*$directory" "$log")" -ge 1 ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 300 ] || fail "$log does not name $service and $directory"
        sleep 0.1
    done
    grep "ERROR.*$service.*$directory" "$log" | tail -n 1
}

wait_until_well() {
    tries=0
    until "$KVSH" -config "$DEMO/kvsh.conf" -quiet verify configuration >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -lt 300 ] || fail "the store does not get well"
        sleep 0.1
    done
}

replace() { # ROLE
    find_service "$1"
    log=$DEMO/$node/kvroot/mystore/log/${node}_0.log
    headline "the disk $directory, which carries $service ($1), is lost"
    rm -rf "$directory"
    wait_for_log
    kv 0 show events -num 3
    kv 2 verify configuration
    kv 0 get -all
    answered "$VALUE"

    headline "stop $service, replace the disk, start it"
    kv 0 plan stop-service -service "$service" -wait
    answered "Plan [0-9]* ended successfully"
    kv 2 verify configuration
    answered "Rep Node \[$service\]  Status: UNREACHABLE"
    kv 1 plan start-service -service "$service" -wait
    answered "$directory"
    kv 0 show plans -num 2
    answered "Start RepNodes.*ERROR"
    echo "\$ mkdir -p $directory"
    mkdir -p "$directory"
    kv 0 plan start-service -service "$service" -wait
    answered "Plan [0-9]* ended successfully"
    wait_until_well
    kv 0 verify configuration
    answered "Rep Node \[$service\]  Status: RUNNING,REPLICA at sequence number"
    echo "\$ grep -rl \"$VALUE\" $directory"
    grep -rla "$VALUE" "$directory" || fail "the value is not in $directory"
}

[ -e "$DEMO/deployed" ] || fail "there is no demo store: run scripts/demo first"
DEMO=$(cd "$DEMO" && pwd)
headline "a value to look for"
kv 0 put -key "$KEY" -value "$VALUE"
answered "Put OK"
kv 0 get -all
replace REPLICA
replace MASTER
headline "both disks are replaced, nothing is lost"
