#!/bin/bash
# Commands with a template, through the whole agent: who runs what as whom, what is recorded, what is refused.
. "$(dirname "$0")/agent_env.sh"
agent_begin
cat >"$work/run.policy" <<POLICY
policy tasks "Tasks" version 1 zone "Etc/UTC";
role admin = user "root" or group "$admins";
command whoami { run "/usr/bin/id"; timeout 20s; }
command rootly { run "/usr/bin/id" "-u"; account "root"; }
command mine   { run "/bin/sh" "-c" "id -un; id -Gn; pwd"; account requester; }
command show   { argument word: string in { "one", like "t*" }; option --loud; option --count: int;
                 run "/bin/echo" option.loud option.count "--" argument.word; environment "GREETING" "hello"; }
command slow   { run "/bin/sleep" "619"; timeout 1s; }
command sleeper { run "/bin/sleep" "2"; }
command fails  { run "/bin/sh" "-c" "echo to stderr >&2; exit 42"; }
command environ { run "/usr/bin/env"; }
command nosuch { run "/nowhere/program"; }
command wrong  { run "/bin/true"; account "no-such-account"; }
command guarded { run "/usr/bin/touch" "$work/guarded"; }
command alerting { run "/usr/bin/touch" "$work/alerting"; }
command later { run "/usr/bin/touch" "$work/later"; }
command open { run "/bin/echo" "the window is open"; }
command named { packages; run "/bin/echo" "--" package.name; }
window never = 2001-01-01..2001-01-02;
window always = 00:00..24:00;
direct admin to whoami;
@id("all") allow everyone to whoami, rootly, mine, show, slow, sleeper, fails, environ, nosuch, wrong, guarded, alerting, later, open, named;
@id("no-two") deny everyone to show when argument.word == "two" because "Two is one too many.";
require reason for everyone to rootly;
require notice "Be gentle." for group "$staff" to mine;
require approval by admin for everyone to guarded;
require alert group "$admins" for everyone to alerting;
require window never for everyone to later;
require window always or never for everyone to open;
POLICY
agent_policy "$work/run.policy"
agent_start || fail "the agent does not start"

self "$alice" --json run whoami
expect_status 0
grep -q "uid=[0-9]*(pva-wo$suffix)" "$work/out" || fail "not the worker"
self "$carol" run whoami
expect_status 0
grep -q "uid=[0-9]*($carol)" "$work/out" || fail "the administrator did not run it herself"

self "$alice" run rootly
expect_status 77
expect_text "A reason is required"
self "$alice" run --reason "because I may" rootly
expect_status 0
expect_text "0"

self "$alice" run mine
expect_status 0
expect_text "$alice"
expect_text "$staff"
self "$alice" --json run mine
expect_status 0
expect_text '"Be gentle."'

self "$alice" run show one
expect_status 0
expect_text "one"
self "$alice" run show --loud --count=3 three
expect_status 0
expect_text "--loud --count=3 -- three"
self "$alice" run show two
expect_status 77
expect_text "Two is one too many."
expect_text "no-two"
self "$alice" run show other
[ "$status" != 0 ] || fail "an argument outside its set was taken"
self "$alice" run show one two
[ "$status" != 0 ] || fail "one argument too many was taken"
self "$alice" run show --frobnicate one
[ "$status" != 0 ] || fail "an unknown option was taken"

self "$alice" run fails
expect_status 42
expect_text "to stderr"
self "$alice" run slow
expect_text "time"
! pgrep -u "pva-wo$suffix" -x -f '/bin/sleep 619' >/dev/null || fail "the command outlived its time"
self "$alice" run --timeout 1s sleeper
expect_text "time"
[ "$status" != 0 ] || fail "a request's own timeout does not count"

# Duties that this agent does not carry out deny, in their words.
self "$alice" run guarded
expect_status 77
expect_text "approval by admin"
expect_text "builtin:unsupported"
self "$alice" run alerting
expect_status 77
expect_text "builtin:unsupported"
self "$alice" run later
expect_status 77
expect_text "never"
self "$alice" run open
expect_status 0
expect_text "the window is open"
[ ! -e "$work/guarded" ] && [ ! -e "$work/alerting" ] && [ ! -e "$work/later" ] || fail "a duty was passed over"

# Arguments as hostile as a command line lets them be reach the command as they are, or nothing does.
self "$alice" run show 't\'
expect_status 0
expect_text 't\'
self "$alice" run show ''
[ "$status" != 0 ] || fail "an empty argument is in the set"
self "$alice" run show $'t\e[31m\nred'
expect_status 0
self "$alice" run show "t$(head -c 5000 /dev/zero | tr '\0' x)"
[ "$status" != 0 ] || fail "an argument of 5000 bytes was taken"
self "$alice" run show 't$(id)`id`;id|id&'
expect_status 0
expect_text 't$(id)`id`;id|id&'
# No argument vector carries a version: what is decided about one would run with another.
self "$alice" run named vlc
expect_status 0
expect_text "-- vlc"
self "$alice" run --version=1.0 named vlc
[ "$status" != 0 ] || fail "a version that the command cannot carry was taken"
expect_text "takes no version"
self "$alice" run ../../bin/sh
[ "$status" != 0 ] || fail "a path is a command"
mkdir -m 0700 "$work/private"
status=0
as "$alice" bash -c "cd '$work/run' && exec '$work/agent/bin/selfserve' run mine" >"$work/out" 2>&1 </dev/null || status=$?
expect_status 0
expect_text "$work/run"

self "$alice" run nosuch
[ "$status" != 0 ] || fail "a program that is not there ran"
self "$alice" run wrong
[ "$status" != 0 ] || fail "a command ran as an account that does not exist"
self "$alice" run undeclared
[ "$status" != 0 ] || fail "an undeclared command ran"

status=0
as "$alice" EVIL=yes LD_LIBRARY_PATH=/tmp/evil "$work/agent/bin/selfserve" run environ >"$work/out" 2>&1 || status=$?
expect_status 0
expect_text "PROVISO_USER=$alice"
expect_text "PROVISO_UID=$(id -u "$alice")"
! grep -q 'EVIL\|LD_LIBRARY_PATH' "$work/out" || fail "the caller's environment came through"

for verb in config feature source apikey; do
    self "$bob" $verb list
    expect_status 77
    expect_text "builtin:never-brokered"
done

# What is on record: one decision each, an outcome for each that ran, and the chain holds.
agent_stop
[ "$agent_status" = 0 ] || fail "the agent ended with $agent_status"
audit verify --state "$work/state" >"$work/out" 2>&1 || fail "the ledger does not verify"
! ls "$work/state/runs" | grep -q . || fail "run directories are left: $(ls "$work/state/runs")"
echo "ok: $checks checks"
