#!/bin/bash
# A front end in the hands of an attacker, and people who are not who they seem: nothing runs that the connected user
# did not submit or that the policy denies, and what was tried is on record.
. "$(dirname "$0")/agent_env.sh"
agent_begin
cp "$1" "$work/agent/libexec/hostile"
cat >"$work/hostile.policy" <<POLICY
policy hostile "Hostile" version 1 zone "Etc/UTC";
role admin = user "root";
command task { run "/usr/bin/touch" "$work/ran/task"; }
command secret { run "/usr/bin/touch" "$work/ran/secret"; }
command show { run "/usr/bin/id" "-un"; }
@id("task") allow everyone to task, show;
@id("only") allow user "$bob" to secret;
@id("not-admins") deny group "$admins" to show;
@id("staff") allow group "$staff" to secret when request.interactive;
POLICY
mkdir "$work/ran"
chown "pva-wo$suffix" "$work/ran"
agent_policy "$work/hostile.policy"
agent_start || fail "the agent does not start"
key=$(od -An -v -tx1 "$work/agent/etc/client.key" | tr -d ' \n')
mv "$work/agent/libexec/proviso-frontend" "$work/agent/libexec/honest"

# connect USER: what the front end passes on, in $work/out
connect() {
    as "$1" timeout 20 python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
while True:
    data = s.recv(65536)
    if not data: break
    sys.stdout.write(data.decode())
' "$socket" >"$work/out" 2>&1 || fail "$2: the connection does not end"
}

abuses() {
    "$PV_BUILD/bin/proviso" audit show --state "$work/state" 2>/dev/null | grep -c " abuse .*$1" || true
}

more_abuses() { [ "$(abuses "$1")" -gt "$2" ]; }

# attack WHAT EXPECTED-LINE ABUSE-WORD
attack() {
    local before
    before=$(abuses "$3")
    rm -f "$work"/ran/*
    printf '%s %s\n' "$1" "$key" >"$work/agent/libexec/hostile.conf"
    cp "$work/agent/libexec/hostile" "$work/agent/libexec/proviso-frontend.new"
    mv "$work/agent/libexec/proviso-frontend.new" "$work/agent/libexec/proviso-frontend"
    connect "$alice" "$1"
    [ -z "$2" ] || expect_text "$2"
    if [ -n "$3" ]; then
        checks=$((checks + 1))
        wait_for 5 more_abuses "$3" "$before" || { "$PV_BUILD/bin/proviso" audit show --state "$work/state"; fail "$1: no record of abuse ($3)"; }
    fi
    [ ! -e "$work/ran/secret" ] || fail "$1: what was not allowed ran"
    kill -0 "$agent_pid" 2>/dev/null || fail "$1: the agent is gone"
    rm -f "$work/agent/libexec/proviso-frontend"
}

attack honest "finished 4" ""
[ -e "$work/ran/task" ] || true
attack honest "started 2" ""
! grep -q "can be written" "$work/out" || fail "the output's descriptor can be written"
attack no-passcode "error 2 " bad-passcode
attack other-uid "error 2 " bad-passcode
attack changed "error 2 " bad-passcode
attack replay "error 1 The message was sent before." replay
attack other-name "error 3 " identity-mismatch
attack second "hung up" front-end
attack garbage "hung up" front-end
attack garbage-request "error 1 " malformed
attack unknown-frame "hung up" front-end
attack monitor-frame "hung up" front-end
attack short-datagram "" front-end
attack descriptors "" front-end
attack cancel-storm "finished" ""

# A storm of abuse is counted, not written out: the ledger does not grow by it, and others are served.
before=$(sql 'SELECT count(*) FROM record')
attack abuse-storm "bye" ""
after=$(sql 'SELECT count(*) FROM record')
[ $((after - before)) -lt 100 ] || fail "one user's storm of abuse wrote $((after - before)) records"

# A front end that never reads costs a bounded queue; everybody else goes on.
printf 'deaf %s\n' "$key" >"$work/agent/libexec/hostile.conf"
cp "$work/agent/libexec/hostile" "$work/agent/libexec/proviso-frontend"
as "$alice" timeout 20 python3 -c '
import socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
time.sleep(2)' "$socket"
rm -f "$work/agent/libexec/proviso-frontend"
mv "$work/agent/libexec/honest" "$work/agent/libexec/proviso-frontend"
self "$bob" run show
expect_status 0

# Many connections of one user: the next is turned away, other users are not, and afterwards she is served again.
as "$alice" python3 -c '
import socket, sys, time
held = []
for i in range(40):
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    held.append(s)
print("held", flush=True)
time.sleep(30)' "$socket" >"$work/held" 2>&1 &
wait_for 10 grep -q held "$work/held"
sleep 0.5
self "$alice" run show
[ "$status" != 0 ] || fail "one user holds any number of connections"
self "$bob" run show
expect_status 0
pkill -KILL -u "$alice" python3
served() { self "$alice" run show; [ "$status" = 0 ]; }
wait_for 20 served || fail "the user is not served again"

# Groups: what the process holds and what the name service says, and the stricter decision stands.
checks=$((checks + 1))
run_as() { # SETPRIV-OPTIONS... -- selfserve arguments
    local options=()
    while [ "$1" != -- ]; do options+=("$1"); shift; done
    shift
    status=0
    setpriv --reuid="$alice" --regid="$(id -g "$alice")" "${options[@]}" env -i PATH=/usr/bin:/bin PROVISO_SOCKET="$socket" \
        "$work/agent/bin/selfserve" "$@" >"$work/out" 2>&1 </dev/null || status=$?
}
run_as --init-groups -- run show
expect_status 0
run_as --groups "$(getent group "$admins" | cut -d: -f3)" -- run show
expect_status 77
expect_text "not-admins"
usermod -a -G "$admins" "$alice"
run_as --clear-groups -- run show
expect_status 77
expect_text "not-admins"
gpasswd -d "$alice" "$admins" >/dev/null

# A name of another in the message is not believed, a uid without a name is nobody, service accounts are not people.
status=0
setpriv --reuid=59999 --regid=59999 --clear-groups env -i PATH=/usr/bin:/bin PROVISO_SOCKET="$socket" \
    "$work/agent/bin/selfserve" run show >"$work/out" 2>&1 </dev/null || status=$?
[ "$status" != 0 ] || fail "somebody without a name was served"
status=0
setpriv --reuid="pva-pl$suffix" --regid="pva-pl$suffix" --clear-groups env -i PATH=/usr/bin:/bin PROVISO_SOCKET="$socket" \
    "$work/agent/bin/selfserve" run show >"$work/out" 2>&1 </dev/null || status=$?
expect_status 77
expect_text "builtin:principal"

agent_stop
[ "$agent_status" = 0 ] || fail "the agent ended with $agent_status"
audit verify --state "$work/state" >"$work/out" 2>&1 || fail "the ledger does not verify"
[ "$(sql 'SELECT count(*) FROM unfinished')" = 0 ] || fail "requests are left unfinished"
echo "ok: $checks checks"
