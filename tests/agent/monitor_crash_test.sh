#!/bin/bash
# kill -9 of each process at each step, and what must hold afterwards: no running command dies with another process,
# every allowed request has an outcome on record, nothing runs without a record, ownership follows dpkg, the chain holds.
. "$(dirname "$0")/agent_env.sh"
. "$(dirname "$0")/../lib/repo.sh"
agent_begin
repo_begin "$work/repo"
root=$work/repo/root
repo_root "$root"
internal=$work/repo/repos/internal
# A package whose installation takes as long as the test wants: its script waits for a file in the root.
slow_tool=slow-$suffix # nobody else's process has this name in its command line
slow='@postinst=i=0; while [ ! -e /go ] && [ $i -lt 300 ]; do i=$((i+1)); sleep 0.1; done; echo configured >/was-here'
repo_deb "$internal" $slow_tool 1.0 "$slow" "@postrm=rm -f /was-here"
repo_deb "$internal" quick-tool 1.0
repo_publish "$internal"
cat >"$work/crash.policy" <<POLICY
policy crash "Crash" version 1 zone "Etc/UTC";
import "std/apt.policy";
source internal { type apt; location "deb file:$internal stable main"; key "$REPO_KEY"; self_service; }
command sleeper { run "/bin/sh" "-c" "sleep 2; echo the end"; }
command forever { run "/bin/sleep" "617"; timeout 60s; }
@id("all") allow everyone to install, upgrade, sleeper, forever;
@id("own") allow everyone to uninstall own;
POLICY
agent_policy "$work/crash.policy"
agent_start --refresh 0 || fail "the agent does not start"

# start_self USER ARG...: selfserve in the background, output in $work/out, its pid in $client
start_self() {
    local user=$1
    shift
    as "$user" "$work/agent/bin/selfserve" "$@" >"$work/out" 2>&1 </dev/null &
    client=$!
}

end_self() {
    status=0
    wait "$client" 2>/dev/null || status=$?
}

outcome_is() {
    self "$alice" history
    sed -n 2p "$work/out" | grep -qw "$1"
}

running() { pgrep -u "pva-wo$suffix" -f -- "$1" >/dev/null; } # by the worker of this agent
not_running() { ! running "$1"; }
end_forever() {
    pkill -KILL -u "pva-wo$suffix" -x -f '/bin/sleep 617' || true
    wait_for 10 not_running '/bin/sleep 617' || fail "the command cannot be ended"
}
installing() { pgrep -f -- "$slow_tool" >/dev/null; }
is_there() { repo_root_version "$root" "$1" >/dev/null 2>&1; }
gone() { ! is_there "$1"; }
no_runs() { [ -z "$(ls "$work/state/runs")" ]; }

# The monitor dies while a command runs: the command goes on, the next monitor adopts it and records its end.
start_self "$alice" run sleeper
wait_for 10 running 'sh -c sleep 2; echo the end' || fail "the command does not start"
agent_kill
running 'sh -c sleep 2; echo the end' || fail "the command died with the monitor"
agent_start --refresh 0 || fail "the agent does not start again"
grep -q "still goes on: adopted" "$work/log" || fail "the running command was not adopted"
wait_for 10 outcome_is "done" || fail "the adopted command has no outcome: $(cat "$work/out")"
end_self
wait_for 5 no_runs || fail "the run directory is left"

# The monitor and the runner die: nobody saw the end, and the record says so.
start_self "$alice" run forever
wait_for 10 running '/bin/sleep 617' || fail "the command does not start"
agent_kill
pkill -KILL -f "$work/agent/libexec/proviso-runner"
agent_start --refresh 0 || fail "the agent does not start again"
wait_for 10 outcome_is interrupted || fail "no outcome after the runner died: $(cat "$work/out")"
end_forever
end_self

# The runner alone dies.
start_self "$alice" run forever
wait_for 10 running '/bin/sleep 617' || fail "the command does not start"
pkill -KILL -f "$work/agent/libexec/proviso-runner"
end_self
expect_text "not seen"
end_forever

# The front end dies: before the start that cancels, after it nothing changes.
start_self "$alice" run sleeper
wait_for 10 running 'sh -c sleep 2; echo the end' || fail "the command does not start"
pkill -KILL -u "pva-fe$suffix"
end_self
[ "$status" != 0 ] || fail "the client did not notice"
running 'sh -c sleep 2; echo the end' || fail "the command died with the front end"
wait_for 10 outcome_is "done" || fail "no outcome after the front end died"

# The ledger dies while a command runs; the outcome is written when it is back.
start_self "$alice" run sleeper
wait_for 10 running 'sh -c sleep 2; echo the end' || fail "the command does not start"
pkill -KILL -u "pva-le$suffix"
end_self
expect_status 0
wait_for 10 outcome_is "done" || fail "no outcome after the ledger died"

# The ledger cannot be started: nothing is brokered, and the agent says so; afterwards it goes on.
mv "$work/agent/libexec/proviso-ledger" "$work/agent/libexec/ledger-away"
pkill -KILL -u "pva-le$suffix"
wait_for 5 grep -q "the ledger is gone" "$work/log"
self "$alice" run sleeper
[ "$status" != 0 ] || fail "a command ran without a ledger"
expect_text "ledger"
! running 'sh -c sleep 2; echo the end' || fail "a command runs without a ledger"
mv "$work/agent/libexec/ledger-away" "$work/agent/libexec/proviso-ledger"
ledger_back() { self "$alice" run sleeper; [ "$status" = 0 ]; }
wait_for 60 ledger_back || fail "the ledger does not come back"

# The planner dies: the request fails, nothing else does.
cp "$work/agent/libexec/proviso-planner" "$work/planner"
printf '#!/bin/sh\nexec sleep 600\n' >"$work/agent/libexec/proviso-planner"
start_self "$alice" install quick-tool
wait_for 10 pgrep -u "pva-pl$suffix" || fail "the planner does not start"
sleep 0.3
pkill -KILL -u "pva-pl$suffix"
end_self
[ "$status" != 0 ] || fail "an installation without a plan"
cp "$work/planner" "$work/agent/libexec/proviso-planner"
gone quick-tool || fail "something was installed without a plan"
self "$alice" install quick-tool
expect_status 0
is_there quick-tool || fail "nothing works after the planner died"

# Somebody who hangs up while waiting for the lock cancels; the transaction in progress goes on.
start_self "$alice" install $slow_tool
wait_for 20 test -d "$root/usr/share/doc/$slow_tool" || fail "$slow_tool is not unpacked"
as "$alice" "$work/agent/bin/selfserve" uninstall quick-tool >"$work/waiting" 2>&1 </dev/null &
waiting=$!
wait_for 10 grep -qi "transaction\|waiting" "$work/waiting" || fail "the second transaction does not say that it waits"
pkill -KILL -u "$alice" -f 'selfserve uninstall'
wait "$waiting" 2>/dev/null || true
touch "$root/go"
end_self
expect_status 0
sleep 1
is_there quick-tool || fail "a request that was cancelled ran"
self "$alice" uninstall $slow_tool
expect_status 0
rm -f "$root/go"

# The monitor dies in the middle of dpkg. dpkg goes on; the outcome and the ownership are written by the next one.
start_self "$alice" install $slow_tool
wait_for 20 test -d "$root/usr/share/doc/$slow_tool" || fail "$slow_tool is not unpacked"
agent_kill
installing || fail "dpkg died with the monitor"
agent_start --refresh 0 || fail "the agent does not start again"
touch "$root/go"
wait_for 30 test -e "$root/was-here" || fail "the script did not end"
wait_for 20 outcome_is "done" || fail "the adopted installation has no outcome"
[ "$(sql "SELECT user FROM ownership WHERE name = '$slow_tool'")" = "$alice" ] || fail "the adopted installation is not owned"
end_self
self "$alice" uninstall $slow_tool
expect_status 0
wait_for 5 no_runs || fail "a run directory is left"

# The runner dies in the middle of dpkg: what dpkg's database says in the end counts.
rm -f "$root/go"
start_self "$alice" install $slow_tool
wait_for 20 test -d "$root/usr/share/doc/$slow_tool" || fail "$slow_tool is not unpacked"
pkill -KILL -f "$work/agent/libexec/proviso-runner"
touch "$root/go"
end_self
expect_status 0
is_there $slow_tool || fail "$slow_tool is not installed"
[ "$(sql "SELECT user FROM ownership WHERE name = '$slow_tool'")" = "$alice" ] || fail "what was installed is not owned"

# A client that hangs up in the middle of dpkg changes nothing.
self "$alice" uninstall $slow_tool
rm -f "$root/go"
start_self "$alice" install $slow_tool
wait_for 20 test -d "$root/usr/share/doc/$slow_tool" || fail "$slow_tool is not unpacked"
pkill -KILL -u "$alice" -f selfserve
touch "$root/go"
end_self
wait_for 20 is_there $slow_tool || fail "the installation ended with its client"
wait_for 10 outcome_is "done" || fail "no outcome after the client hung up"

# Everything that was allowed has an outcome, and the chain holds.
agent_stop
[ "$agent_status" = 0 ] || fail "the agent ended with $agent_status"
[ "$(sql 'SELECT count(*) FROM unfinished')" = 0 ] || fail "requests are left unfinished"
audit verify --state "$work/state" >"$work/out" 2>&1 || fail "the ledger does not verify"
no_runs || fail "run directories are left"

# A ledger that was set back is refused, and nothing is brokered on it.
cp -a "$work/state/ledger" "$work/ledger.copy"
agent_start --refresh 0 || fail "the agent does not start"
self "$alice" run sleeper
expect_status 0
agent_stop
rm -rf "$work/state/ledger"
mv "$work/ledger.copy" "$work/state/ledger"
agent_start --refresh 0 || true
wait_for 10 grep -q "ALARM: the ledger" "$work/log" || fail "a ledger that was set back was not noticed"
self "$alice" run sleeper
[ "$status" != 0 ] || fail "a command was brokered on a ledger that was set back"
agent_stop
echo "ok: $checks checks"
