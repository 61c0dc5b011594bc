#!/bin/bash
# `proviso audit` as an operator uses it: a clean ledger, each kind of tampering named, heads and anchors, filters, escapes,
# exits, and the export fed back to `proviso eval`.
set -eu
proviso=$1 make=$2 ledger=$3
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
state=$dir/s
db=$state/ledger/ledger.db
export TZ=UTC
fail() { echo "FAIL: $*" >&2; [ ! -s out ] || cat out >&2; exit 1; }
# run EXIT COMMAND...: output in `out`, errors in `err`
run() {
    local want=$1 got=0
    shift
    "$@" >out 2>err || got=$?
    [ "$got" = "$want" ] || { cat err >&2; fail "exit $got, not $want: $*"; }
}
says() { grep -qF -- "$1" out || fail "not said: $1"; }
fresh() { rm -rf "$state"; "$make" "$ledger" "$state" "$@"; }

# Clean.
fresh
run 0 "$proviso" audit verify --state "$state"
says 'the ledger is whole: 8 records, from 2026-11-21 10:00:00 +0000 to 2026-11-21 10:00:07 +0000'
if grep -q 'no head' out; then fail "the head was not compared"; fi
anchor=$(sed -n 's/^anchor //p' out)
[[ $anchor =~ ^8:[0-9a-f]{64}$ ]] || fail "anchor $anchor"
run 0 "$proviso" audit verify --ledger "$db"
says 'no head or anchor was compared'
run 0 "$proviso" audit verify --ledger "$db" --anchor "$anchor"
run 0 "$proviso" audit verify --state "$state" --json
jq -e --arg a "$anchor" '.schema == "proviso/audit-verify/1" and .clean and .records == 8 and .anchor == $a and .end_compared
    and .findings == []' out >/dev/null || fail "json"
cp "$db" pristine

# One byte of one record, in the file.
for spec in 'Network tools need NetOps:6' 'forged line:7' 'training video:3,6,8'; do
    cp pristine "$db"
    at=$(LC_ALL=C grep -abo "${spec%:*}" "$db" | head -1 | cut -d: -f1)
    printf 'X' | dd of="$db" bs=1 seek="$at" conv=notrunc 2>/dev/null
    run 1 "$proviso" audit verify --state "$state"
    grep -Eq "^record [${spec##*:}] was altered" out || fail "no record named after: $spec"
done
cp pristine "$db"
sqlite3 "$db" "UPDATE record SET body = CAST(substr(body, 1, 40) || 'X' || substr(body, 42) AS BLOB) WHERE seq = 6"
run 1 "$proviso" audit verify --state "$state"
says 'record 6 was altered'
says '1 finding in 8 records'
run 1 "$proviso" audit verify --state "$state" --json
jq -e '(.clean | not) and .findings[0].kind == "altered" and .findings[0].seq == 6' out >/dev/null || fail "json of a finding"

# Taken out, cut off, forged ownership, file cut short, no database at all.
cp pristine "$db"; sqlite3 "$db" 'DELETE FROM record WHERE seq = 4'
run 1 "$proviso" audit verify --state "$state"; says 'record 4 is missing'
cp pristine "$db"; sqlite3 "$db" 'DELETE FROM record WHERE seq = 8; DELETE FROM unfinished'
run 1 "$proviso" audit verify --state "$state"; says 'the ledger ends at 7 but the head says 8'
run 0 "$proviso" audit verify --state "$state" --no-head
run 1 "$proviso" audit verify --state "$state" --no-head --anchor "$anchor"; says 'the ledger ends at 7 but the anchor says 8'
cp pristine "$db"; sqlite3 "$db" "UPDATE ownership SET uid = 1002, user = 'bob'"
run 1 "$proviso" audit verify --state "$state"; says 'the table ownership was altered'; says 'not what record 5 says'
cp pristine "$db"; truncate -s 5000 "$db"
run 1 "$proviso" audit verify --state "$state"
: >"$db"
run 1 "$proviso" audit verify --state "$state"
rm "$db"
run 2 "$proviso" audit verify --state "$state"
ln -s "$dir/pristine" "$db"
run 2 "$proviso" audit verify --state "$state"
rm "$db"; cp pristine "$db"

# The head: older is in order, missing, damaged and unreadable are not.
cp "$state/ledger.head" head
rm "$state/ledger.head"
run 1 "$proviso" audit verify --state "$state"; says 'the head file is missing'
echo nonsense >"$state/ledger.head"
run 1 "$proviso" audit verify --state "$state"; says 'the head file is damaged'
sed 's/ 00000000000000000008 / 00000000000000000009 /' head >"$state/ledger.head"
run 1 "$proviso" audit verify --state "$state"; says 'the ledger ends at 8 but the head says 9'
sed 's/.$/0/; s/ 00000000000000000008 / 00000000000000000003 /' head >"$state/ledger.head"
run 1 "$proviso" audit verify --state "$state"; says 'record 3 has another hash than the head says'
cp head "$state/ledger.head"

# A ledger whose process was killed: what is in the log counts.
fresh kill
[ -s "$db-wal" ] || fail "no log was left"
run 0 "$proviso" audit verify --state "$state"; says '8 records'
fresh

# Read by root, whose shared memory file must not lock out the account that owns the ledger; and by somebody who may not.
if [ "$(id -u)" = 0 ]; then
    chown -R 65534 "$state/ledger"
    run 0 "$proviso" audit verify --state "$state"
    [ -z "$(find "$state/ledger" ! -uid 65534)" ] || fail "files of root's in the ledger's directory"
    fresh
    chmod 755 "$dir"
    run 2 setpriv --reuid 65534 --regid 65534 --clear-groups "$proviso" audit verify --state "$state"
    run 2 setpriv --reuid 65534 --regid 65534 --clear-groups "$proviso" audit show --state "$state"
fi

# Show.
run 0 "$proviso" audit show --state "$state"
[ "$(wc -l <out)" = 8 ] || fail "eight lines"
says '3  2026-11-21 10:00:02 +0000  decision  0000000000000011  alice allow install vlc by base, workstations.policy:48'
says '6  2026-11-21 10:00:05 +0000  decision  0000000000000012  bob deny install nmap by base'
says 'custom-source by bob, 3 times: deb http://x.example ./\x1b[31m\nforged line'
run 0 "$proviso" audit show --state "$state" --user alice
[ "$(wc -l <out)" = 3 ] || fail "alice's records"
run 0 "$proviso" audit show --state "$state" --uid 1002 --kind abuse
[ "$(cut -d' ' -f1 out)" = 7 ] || fail "bob's abuse"
run 0 "$proviso" audit show --state "$state" --request 11 --last 1
[ "$(cut -d' ' -f1 out)" = 4 ] || fail "the last record of a request"
run 0 "$proviso" audit show --state "$state" --since 2026-11-21T10:00:06Z
[ "$(wc -l <out)" = 2 ] || fail "since"
run 0 "$proviso" audit show --state "$state" --kind decision --long
says '    because: Network tools need NetOps: https://it.example/netops'
says '      package.version = 3.0.18-2'
if LC_ALL=C grep -q $'[\x01-\x09\x0b-\x1f\x7f]' out; then fail "control characters"; fi
run 2 "$proviso" audit show --state "$state" --kind nonsense
run 2 "$proviso" audit show --state "$state" --ledger x
run 2 "$proviso" audit nonsense
run 2 "$proviso" audit verify --anchor 8:00
run 2 "$proviso" audit show --ledger "$dir/nothing"
run 0 "$proviso" audit --help
run 0 "$proviso" audit verify --help

# Export, and what was exported decided again.
run 0 "$proviso" audit export --state "$state"
[ "$(wc -l <out)" = 8 ] || fail "eight objects"
jq -es 'all(.[]; .schema == "proviso/record/1") and [.[].seq] == [1,2,3,4,5,6,7,8]' out >/dev/null || fail "export"
jq -es '.[6].text == "deb http://x.example ./\u001b[31m\nforged line" and .[6].abuse == "custom-source"' out >/dev/null ||
    fail "what was recorded comes out as it was"
run 0 "$proviso" audit export --state "$state" --kind own
jq -e '.granted and .package == "vlc" and .user == "alice" and .uid == 1001' out >/dev/null || fail "export of ownership"
if "$proviso" audit export --state "$state" >/dev/full 2>err; then fail "a full output is an error"; fi

cat >p.policy <<'POLICY'
policy workstations version 7 zone "Europe/Paris";
attribute host.checked: date;
attribute host.opens: clock;
attribute host.day: weekday;
source internal { type apt; location "deb https://apt.example/ stable main"; self_service; }
command install { provider apt; packages; sources; }
@id("base")
allow everyone to install { "vlc", "git" } when host.checked < 2027-01-01 and host.opens > 20:00 and host.day == wed;
@id("no-nmap")
deny everyone to install "nmap" because "Network tools need NetOps: https://it.example/netops";
POLICY
"$proviso" audit export --state "$state" --kind decision >decisions
jq -c '.operations[].request' decisions >requests
jq -r '.operations[].decision.decision' decisions >recorded
"$proviso" eval p.policy --requests requests >again 2>err || { cat err >&2; fail "eval refuses an exported request"; }
jq -r .decision again >now
[ "$(wc -l <now)" = 3 ] || fail "three decisions"
cmp recorded now || fail "decided otherwise: $(cat again)"
echo "audit: shown, verified, exported, decided again"
