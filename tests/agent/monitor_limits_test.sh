#!/bin/bash
# Limits: a disk that fills up, many requests at once, a storm of denials, output that nobody reads, fairness between
# users, and users at the edges of what a uid can be.
. "$(dirname "$0")/agent_env.sh"
. "$(dirname "$0")/../lib/repo.sh"
agent_begin
repo_begin "$work/repo"
root=$work/repo/root
repo_root "$root"
internal=$work/repo/repos/internal
for i in 1 2 3 4; do
    repo_deb "$internal" "tool-$i" 1.0 "@postinst=i=0; while [ ! -e /go ] && [ \$i -lt 300 ]; do i=\$((i+1)); sleep 0.1; done"
done
repo_publish "$internal"
cat >"$work/limits.policy" <<POLICY
policy limits "Limits" version 1 zone "Etc/UTC";
import "std/apt.policy";
source internal { type apt; location "deb file:$internal stable main"; key "$REPO_KEY"; self_service; }
command hello { run "/bin/echo" "hello"; }
command sleeper { run "/bin/sleep" "3"; }
command flood { run "/bin/sh" "-c" "head -c 40000000 /dev/zero | tr '\\\\0' x"; }
command forbidden { run "/bin/true"; }
@id("all") allow everyone to install, upgrade, hello, sleeper, flood;
POLICY
agent_policy "$work/limits.policy"
mkdir -m 0755 "$work/state"
mount -t tmpfs -o size=64m,mode=0755 tmpfs "$work/state"
trap 'umount -l "$work/state" 2>/dev/null || true; agent_end' EXIT
agent_start --refresh 0 || fail "the agent does not start"

self "$alice" run hello
expect_status 0

# Output past its bound is cut, the command is not.
self "$alice" run flood
expect_status 0
size=$(stat -c %s "$work/out")
[ "$size" -lt 20000000 ] || fail "$size bytes of output were kept"

# A full disk: nothing new is brokered, and the agent says so and lives; with room again it goes on.
dd if=/dev/zero of="$work/state/ballast" bs=1M status=none 2>/dev/null || true
self "$alice" run hello
[ "$status" != 0 ] || fail "a command ran on a full disk"
expect_text "nearly full"
self "$alice" rights
rm "$work/state/ballast"
served() { self "$alice" run hello; [ "$status" = 0 ]; }
wait_for 30 served || fail "the agent does not go on when there is room again"

# A storm of denials is counted past a rate; each is still answered.
before=$(sql 'SELECT count(*) FROM record')
for _ in $(seq 90); do
    self "$bob" run forbidden
    expect_status 77
done
after=$(sql 'SELECT count(*) FROM record')
[ $((after - before)) -le 65 ] || fail "90 denials wrote $((after - before)) records"

# Requests at once: up to a number for one user, others are served meanwhile.
for _ in $(seq 12); do
    as "$alice" "$work/agent/bin/selfserve" run sleeper >>"$work/many" 2>&1 </dev/null &
done
too_many() { grep -q "Too many requests" "$work/many"; }
wait_for 10 too_many || fail "one user has any number of requests in progress"
self "$bob" run hello
expect_status 0
wait $(jobs -p | grep -v "^$agent_pid$") 2>/dev/null || true

# One transaction at a time, fair between users: who was served longest ago is next.
start() { # USER PACKAGE
    as "$1" "$work/agent/bin/selfserve" install "$2" >"$work/out.$2" 2>&1 </dev/null &
}
start "$alice" tool-1
wait_for 20 test -d "$root/usr/share/doc/tool-1" || fail "the first does not begin"
start "$alice" tool-2
wait_for 10 grep -q . "$work/out.tool-2" || fail "the second does not wait"
start "$alice" tool-3
wait_for 10 grep -q . "$work/out.tool-3" || fail "the third does not wait"
start "$bob" tool-4
wait_for 10 grep -q . "$work/out.tool-4" || fail "the fourth does not wait"
touch "$root/go"
done_all() { for i in 1 2 3 4; do repo_root_version "$root" "tool-$i" >/dev/null || return 1; done; }
wait_for 60 done_all || fail "not all were installed"
order=$(grep ' install ' "$root/var/log/dpkg.log" | awk '{print $4}' | cut -d: -f1 | tr '\n' ' ')
[ "$order" = "tool-1 tool-4 tool-2 tool-3 " ] || fail "the order was $order"
wait $(jobs -p | grep -v "^$agent_pid$") 2>/dev/null || true

# uids at the edges: none of these has a name, so none is served, and nobody is harmed.
for uid in 65534 65535 2147483647 2147483648 4294967294; do
    status=0
    setpriv --reuid=$uid --regid=65534 --clear-groups env -i PATH=/usr/bin:/bin PROVISO_SOCKET="$socket" \
        "$work/agent/bin/selfserve" run hello >"$work/out" 2>&1 </dev/null || status=$?
    checks=$((checks + 1))
    [ "$status" != 0 ] || fail "uid $uid was served"
done
self "$alice" run hello
expect_status 0
agent_stop
[ "$agent_status" = 0 ] || fail "the agent ended with $agent_status"
audit verify --state "$work/state" >"$work/out" 2>&1 || fail "the ledger does not verify"
[ "$(sql 'SELECT count(*) FROM unfinished')" = 0 ] || fail "requests are left unfinished"
echo "ok: $checks checks"
