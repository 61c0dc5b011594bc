# shellcheck shell=bash
# A whole agent for tests: accounts of its own, keys, a policy, provisod with its programs in a directory that only root
# writes, and real people who use it through selfserve. Sourced by bash scripts that run as root; needs PV_BUILD.
#
#   agent_begin            directories below $work, accounts, keys; everything goes away at the end of the script
#   agent_policy FILE      compiles and signs FILE as the policy (imports come from policies/)
#   agent_start [OPTION..] starts provisod and waits until it is ready; agent_stop ends it in order
#   agent_reload           SIGHUP, and waits until the log says what became of it
#   as USER COMMAND...     runs a command as that person, as from a login shell of hers
#   self USER ARG...       selfserve as USER; its output in $work/out, its status in $status, which is not fatal
#   json JQ                a jq expression over the JSON lines in $work/out, as text
#   expect_status N, expect_text TEXT, expect_json JQ VALUE, fail TEXT
# People: $alice $bob $carol; $staff is a group of alice and bob, $admins one of carol.
set -Eeu
trap 'echo "FAIL: line $LINENO: $BASH_COMMAND ended with $?" >&2' ERR
[ "$(id -u)" = 0 ] || { echo "needs root" && exit 1; }
work=$(mktemp -d /tmp/pva.XXXXXX)
chmod 0755 "$work"
suffix=$(basename "$work" | tr -dc '[:alnum:]' | tr '[:upper:]' '[:lower:]' | tail -c 7)
alice=pva-al$suffix bob=pva-bo$suffix carol=pva-ca$suffix staff=pva-st$suffix admins=pva-ad$suffix
service_accounts="pva-fe$suffix pva-le$suffix pva-pl$suffix pva-wo$suffix pva-re$suffix"
key_group=pva-ke$suffix
agent_pid=
checks=0
root=/
socket=$work/run/agent.sock

fail() {
    echo "FAIL (line ${BASH_LINENO[*]}): $*" >&2
    [ ! -s "$work/out" ] || { echo "--- output"; sed 's/^/    /' "$work/out"; } >&2
    [ ! -s "$work/log" ] || { echo "--- log"; tail -n 15 "$work/log" | sed 's/^/    /'; } >&2
    exit 1
}

agent_end() {
    [ -z "$agent_pid" ] || kill -KILL "$agent_pid" 2>/dev/null || true
    for user in $alice $bob $carol $service_accounts; do
        pkill -KILL -u "$user" 2>/dev/null || true
        # A process that is just ending still counts as one of the account's.
        userdel --force "$user" 2>/dev/null || true
    done
    for group in "$staff" "$admins" "$key_group" $service_accounts; do
        groupdel "$group" 2>/dev/null || true
    done
    ! declare -f repo_end >/dev/null || repo_end
    rm -rf "$work"
}

agent_begin() {
    trap agent_end EXIT
    mkdir -p "$work/agent/bin" "$work/agent/libexec" "$work/agent/etc" "$work/run"
    cp "$PV_BUILD"/bin/provisod "$PV_BUILD"/bin/selfserve "$work/agent/bin/"
    cp "$PV_BUILD"/libexec/* "$work/agent/libexec/"
    groupadd "$staff"
    groupadd "$admins"
    groupadd "$key_group"
    for user in $service_accounts; do
        useradd --system --user-group --no-create-home --shell /usr/sbin/nologin "$user"
    done
    useradd --no-create-home --shell /bin/bash --groups "$staff" "$alice"
    useradd --no-create-home --shell /bin/bash --groups "$staff" "$bob"
    useradd --no-create-home --shell /bin/bash --groups "$admins" "$carol"
    head -c 32 /dev/urandom >"$work/agent/etc/client.key"
    chown "root:$key_group" "$work/agent/etc/client.key" "$work/agent/libexec/selfserve-pass"
    chmod 0640 "$work/agent/etc/client.key"
    chmod 2755 "$work/agent/libexec/selfserve-pass"
    (umask 077 && "$PV_BUILD/bin/proviso" key new "$work/agent/etc/policy" --no-password) >/dev/null
    mkdir "$work/policies"
    cp -r "$PV_ROOT/policies/std" "$work/policies/"
}

agent_policy() {
    cp "$1" "$work/policies/$(basename "$1")" 2>/dev/null || true
    "$PV_BUILD/bin/proviso" compile "$work/policies/$(basename "$1")" -o "$work/agent/etc/new.bundle" \
        --key "$work/agent/etc/policy.sec" >"$work/compiled" 2>&1 || { cat "$work/compiled" >&2; fail "the policy does not compile"; }
    mv "$work/agent/etc/new.bundle.minisig" "$work/agent/etc/policy.bundle.minisig"
    mv "$work/agent/etc/new.bundle" "$work/agent/etc/policy.bundle"
}

agent_start() {
    set -- --foreground --socket "$socket" --state "$work/state" --policy "$work/agent/etc/policy.bundle" \
        --pubkey "$work/agent/etc/policy.pub" --client-key "$work/agent/etc/client.key" --root "$root" \
        --libexec "$work/agent/libexec" --frontend-account "pva-fe$suffix" --ledger-account "pva-le$suffix" \
        --planner-account "pva-pl$suffix" --worker-account "pva-wo$suffix" \
        --resolver-account "pva-re$suffix" "$@"
    mkfifo "$work/ready"
    "$work/agent/bin/provisod" "$@" --ready-fd 9 9>"$work/ready" 2>>"$work/log" </dev/null &
    agent_pid=$!
    ready=$(timeout 20 cat "$work/ready") || ready=
    rm -f "$work/ready"
    [ "$ready" = ready ] || return 1
}

agent_stop() {
    kill -TERM "$agent_pid"
    agent_status=0
    wait "$agent_pid" || agent_status=$?
    agent_pid=
}

agent_kill() {
    kill -KILL "$agent_pid"
    wait "$agent_pid" 2>/dev/null || true
    agent_pid=
}

# wait_for SECONDS COMMAND...: until it succeeds
wait_for() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.05
    done
}

log_lines() {
    [ "$(grep -c 'in force\|is refused' "$work/log")" -gt "$1" ]
}

agent_reload() {
    local before
    before=$(grep -c 'in force\|is refused' "$work/log")
    kill -HUP "$agent_pid"
    wait_for 10 log_lines "$before" || fail "the agent does not reload"
}

as() {
    local user=$1
    shift
    # From a folder that everybody can enter: the tree may stand where this person cannot go.
    env --chdir=/ setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups env -i PATH=/usr/bin:/bin \
        LANG=C.UTF-8 TERM=dumb HOME=/ USER="$user" PROVISO_SOCKET="$socket" "$@"
}

self() {
    local user=$1
    shift
    status=0
    as "$user" timeout 120 "$work/agent/bin/selfserve" "$@" >"$work/out" 2>&1 </dev/null || status=$?
}

json() {
    jq -r -s "$1" <"$work/out"
}

expect_status() {
    checks=$((checks + 1))
    [ "$status" = "$1" ] || fail "status $status, not $1"
}

expect_text() {
    checks=$((checks + 1))
    grep -qF -- "$1" "$work/out" || fail "the output does not say: $1"
}

expect_json() {
    local got
    checks=$((checks + 1))
    got=$(json "$1") || fail "not JSON"
    [ "$got" = "$2" ] || fail "$1 is $got, not $2"
}

# sql QUERY: of the ledger, read as it is
sql() {
    sqlite3 -batch -cmd ".timeout 5000" "$work/state/ledger/ledger.db" "$1"
}

# audit ARG...: proviso audit over this ledger
audit() {
    local verb=$1
    shift
    "$PV_BUILD/bin/proviso" audit "$verb" "$@"
}
