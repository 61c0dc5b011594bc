#!/bin/bash
# Starting, and what the agent takes for a policy: it refuses to start, naming the path, where others could change what
# it rests on; it takes signed bundles whose versions grow, keeps the last good one, and says why it refuses others.
. "$(dirname "$0")/agent_env.sh"
agent_begin
etc=$work/agent/etc

policy() { # VERSION COMMAND
    cat >"$work/start.policy" <<POLICY
policy start "Start" version $1 zone "Europe/Paris";
window never = 2001-01-01..2001-01-02;
command $2 { run "/bin/echo" "ran $2"; }
command timed { run "/bin/echo" "timed"; }
command limited { run "/bin/echo" "limited"; }
@id("all") allow everyone to $2, limited;
@id("always") allow everyone to timed during always;
window always = 00:00..24:00;
require window never for everyone to $2 when request.interactive;
deny everyone to limited when user.changes_today >= 3 because "Enough for today.";
POLICY
    agent_policy "$work/start.policy"
}

refuses() { # TEXT: the agent does not start and says TEXT
    checks=$((checks + 1))
    : >"$work/log"
    if agent_start; then
        fail "the agent starts, although: $1"
    fi
    wait "$agent_pid" 2>/dev/null || true
    agent_pid=
    grep -qF -- "$1" "$work/log" || fail "the agent does not say: $1"
}

starts() {
    checks=$((checks + 1))
    : >"$work/log"
    agent_start "$@" || fail "the agent does not start"
}

policy 1 one
chmod o+w "$etc"
refuses "$etc can be written by everybody"
chmod o-w "$etc"
chown "$alice" "$etc/policy.pub"
refuses "$etc/policy.pub does not belong to root"
chown root "$etc/policy.pub"
chmod o+r "$etc/client.key"
refuses "$etc/client.key can be read by everybody"
chmod o-r "$etc/client.key"
chmod o+w "$work/agent/libexec/proviso-planner"
refuses "proviso-planner can be written by everybody"
chmod o-w "$work/agent/libexec/proviso-planner"
mkdir -m 0777 "$work/state"
refuses "$work/state can be written by everybody"
rmdir "$work/state"
head -c 31 /dev/urandom >"$etc/short.key"
mv "$etc/client.key" "$etc/good.key"
cp "$etc/short.key" "$etc/client.key"
chmod 0640 "$etc/client.key"
refuses "not a client key"
mv "$etc/good.key" "$etc/client.key"
groups=$service_accounts
userdel "pva-wo$suffix"
refuses "the account pva-wo$suffix does not exist"
useradd --system --user-group --no-create-home --shell /usr/sbin/nologin "pva-wo$suffix" 2>/dev/null ||
    useradd --system --gid "pva-wo$suffix" --no-create-home --shell /usr/sbin/nologin "pva-wo$suffix"
mkdir "$work/run/agent.sock"
refuses "agent.sock"
rmdir "$work/run/agent.sock"
ln -s "$work/elsewhere" "$work/run/agent.sock"
refuses "agent.sock"
rm "$work/run/agent.sock"

rm -rf "$work/state"

# No signature, a signature by another key, a damaged bundle: no policy, no agent.
mv "$etc/policy.bundle.minisig" "$work/good.minisig"
refuses "there is no policy that may be used"
"$PV_BUILD/bin/proviso" key new "$work/other" --no-password >/dev/null
"$PV_BUILD/bin/proviso" compile "$work/policies/start.policy" -o "$work/other.bundle" --key "$work/other.sec" >/dev/null
cp "$work/other.bundle.minisig" "$etc/policy.bundle.minisig"
refuses "another key"
cp "$work/good.minisig" "$etc/policy.bundle.minisig"
cp "$etc/policy.bundle" "$work/good.bundle"
printf 'x' | dd of="$etc/policy.bundle" bs=1 seek=700 conv=notrunc status=none
refuses "altered"
cp "$work/good.bundle" "$etc/policy.bundle"

starts
self "$alice" run one
expect_status 0
expect_text "ran one"
self "$alice" run timed
expect_status 0
! (agent_pid='' && agent_start) 2>/dev/null || fail "a second agent starts on the same state"
rm -f "$work/ready"

# user.changes_today counts what was allowed, and a closed window is told.
self "$alice" run limited
expect_status 0
self "$alice" run limited
expect_status 77
expect_text "Enough for today."
self "$bob" run limited
expect_status 0

# Reloading: newer is taken at once, without a restart; everything else is refused and leaves it in force.
policy 2 two
agent_reload
self "$alice" run two
expect_status 0
self "$alice" run one
[ "$status" != 0 ] || fail "a command of the old policy runs"
policy 2 other
agent_reload
grep -q "same version with another content" "$work/log" || fail "the same version with another content was taken"
policy 1 one
agent_reload
grep -q "its version is lower" "$work/log" || fail "an older version was taken"
echo "not a bundle" >"$etc/policy.bundle"
agent_reload
self "$alice" run two
expect_status 0
expect_text "ran two"

# The last good bundle is what a restart falls back to.
agent_stop
starts
grep -q "the last good one" "$work/log" || fail "the last good policy is not used"
self "$alice" run two
expect_status 0
agent_stop

# A lost floor is an alarm, and is made again from the last good bundle.
rm "$work/state/floor"
starts
grep -q "ALARM" "$work/log" || fail "a lost floor raises no alarm"
policy 1 one
agent_reload
self "$alice" run two
expect_status 0
policy 3 three
agent_reload
self "$alice" run three
expect_status 0
agent_stop
printf 'damaged' >"$work/state/floor"
refuses "is damaged"
rm "$work/state/floor"

# A clock that was set back cannot bring back what time allowed; what does not depend on it goes on.
if [ -n "${2-}" ]; then
    LD_PRELOAD=$2 FAKE_CLOCK_OFFSET=86400 starts
    self "$alice" run timed
    expect_status 0
    agent_stop
    starts
    self "$alice" run three
    expect_status 0
    self "$alice" run timed
    expect_status 77
    expect_text "builtin:clock"
    agent_stop
fi

# Switched off, it answers and brokers nothing.
starts --no-broker
self "$alice" run three
expect_status 78
expect_text "switched off"
self "$alice" rights
expect_status 0
agent_stop

# Started by a socket that somebody else made, and in the background.
python3 - "$work" "$suffix" "$etc" 2>>"$work/log" <<'PY' &
import os, socket, sys
work, suffix, etc = sys.argv[1:]
s = socket.socket(socket.AF_UNIX)
s.bind(work + "/run/agent.sock")
os.chmod(work + "/run/agent.sock", 0o666)
s.listen(16)
os.dup2(s.fileno(), 3)
os.set_inheritable(3, True)
os.environ["LISTEN_FDS"] = "1"
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(work + "/agent/bin/provisod", ["provisod", "--foreground", "--socket", work + "/run/agent.sock", "--state",
    work + "/state", "--policy", etc + "/policy.bundle", "--pubkey", etc + "/policy.pub", "--client-key",
    etc + "/client.key", "--libexec", work + "/agent/libexec", "--frontend-account", "pva-fe" + suffix,
    "--ledger-account", "pva-le" + suffix, "--planner-account", "pva-pl" + suffix, "--worker-account", "pva-wo" + suffix])
PY
agent_pid=$!
served() { self "$alice" run three; [ "$status" = 0 ]; }
wait_for 10 served || fail "an agent with an inherited socket does not serve"
agent_stop
[ "$agent_status" = 0 ] || fail "the agent ended with $agent_status"
rm -f "$work/run/agent.sock"

# Background: the command ends once clients can connect; the agent goes on.
set -- --socket "$socket" --state "$work/state" --policy "$etc/policy.bundle" --pubkey "$etc/policy.pub" \
    --client-key "$etc/client.key" --libexec "$work/agent/libexec" --frontend-account "pva-fe$suffix" \
    --ledger-account "pva-le$suffix" --planner-account "pva-pl$suffix" --worker-account "pva-wo$suffix"
"$work/agent/bin/provisod" "$@" >"$work/log" 2>&1 </dev/null || fail "the agent does not go into the background"
agent_pid=$(pgrep -f "$work/agent/bin/provisod" | head -n 1)
self "$alice" run three
expect_status 0
kill -TERM "$agent_pid"
ended() { ! kill -0 "$agent_pid" 2>/dev/null; }
wait_for 10 ended || fail "the agent in the background does not end"
agent_pid=

audit verify --state "$work/state" >"$work/out" 2>&1 || fail "the ledger does not verify"
echo "ok: $checks checks"
