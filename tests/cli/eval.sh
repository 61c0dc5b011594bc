#!/bin/bash
# `proviso eval` and `explain`: decisions field by field, exits, and every error of a request with its sentence.
. "$(dirname "$0")/lib.sh"

cat >p.policy <<'P'
policy p version 3 zone "Europe/Paris";
import "std/apt.policy";
attribute host.room: string optional;
attribute host.floor: int;
role admin = user "root";
role netops = group "netops";
source internal { type apt; location "deb https://a x main"; key "/etc/a.gpg"; self_service; }
source vendor { type apt; location "deb https://b x main"; key "/etc/b.gpg"; admin_only; }
source old { type apt; location "deb https://c x main"; key "/etc/c.gpg"; disabled; }
window nightly = mon..fri 22:00..04:00;
window weekend = sat..sun;
command restart {
    argument unit: string in { "nginx.service", like "app-*.service" };
    argument count: int;
    option --no-block;
    option --since: date;
    option --at: clock;
    option --day: weekday;
    option --grace: duration;
    option --min: version(dpkg);
    run "/usr/bin/systemctl" "restart" option.no-block option.since option.at option.day option.grace option.min "--" argument.unit argument.count;
    account "root";
}
direct admin;
@id("base") @owner("jane@it.example")
allow everyone to install, upgrade from self_service when transaction.removes == 0;
@id("old") allow everyone to install "relic" from old;
@id("any") allow everyone to install like "any-*" from any;
@id("rm") allow everyone to uninstall own;
@id("ground") allow everyone to optimize when host.floor == 0;
@id("restart") allow netops to restart when argument.unit != "app-secret.service" when option.no-block == false when has option.since and option.since > 2026-01-01 or not has option.since;
@id("no-nmap") deny everyone to install "nmap" because "ask NetOps" because "see the wiki";
@id("no-nmap-2") deny everyone to install like "nm*" because "really";
@id("why") require reason for everyone to uninstall;
@id("docker") require approval by group "x y" or netops for everyone to install "docker";
@id("slow") require timeout 20m for everyone to install;
@id("quick") require timeout 10m for everyone to install like "d*";
@id("later") require window nightly or weekend for everyone to install "docker";
@id("tell") require notice "be careful" for everyone to install "docker";
@id("tell-2") require notice "be careful" for everyone to install like "dock*";
@id("watch") require alert netops for everyone to install "docker";
@id("as") require account "worker" for everyone to install "docker";
P

base='{"user": {"name": "alice", "uid": 1001, "groups": ["staff", "dev"]}, "command": "install", "package": {"name": "vlc", "version": "3.0.18-2", "installed": false, "owner": null, "dependency": false}, "source": "internal", "time": "2026-11-21T10:00:00+01:00", "request": {"reason": "training video", "cwd": "/home/alice", "timeout": 600}, "transaction": {"installs": 1, "removes": 0, "download_size": 1200000}, "host": {"name": "ws-17", "room": "lab-2"}, "argument": {}, "option": {}}'

# request FILTER: the base request, changed by jq.
request() {
  jq -c "$1" <<<"$base" >r.json
}
decide() {
  run "$1" "$proviso" eval p.policy --request r.json
}

# ---- Decisions ----
request .
decide 0
holds 'keys_unsorted == ["schema", "decision", "default", "rules", "because", "obligations"] and (.obligations | keys_unsorted) == ["reason", "approval", "timeout", "account", "windows", "notices", "alerts"]'
holds '. == {schema: "proviso/decision/1", decision: "allow", default: false, rules: [{id: "base", effect: "allow", file: "p.policy", line: 26}, {id: "slow", effect: "require", file: "p.policy", line: 36}], because: [], obligations: {reason: false, approval: [], timeout: 1200, account: null, windows: [], notices: [], alerts: []}}'
holds '.rules[0] | keys_unsorted == ["id", "effect", "file", "line"]'
[ "$(wc -l <out)" = 1 ] || fail "a decision is not one line"

request '.package.name = "nmap"'
decide 1
holds '.decision == "deny" and .default == false and [.rules[].id] == ["no-nmap", "no-nmap-2"] and .because == ["ask NetOps", "see the wiki", "really"] and .obligations.timeout == null'
request '.transaction.removes = 1'
decide 1
holds '.decision == "deny" and .default == true and .rules == [] and .because == []'
request '.user = {name: "root", uid: 0}'
decide 3
holds '.decision == "direct" and [.rules[].effect] == ["direct"] and .rules[0].id == "p.policy:24" and .default == false'
request '.command = "config" | del(.package, .source)'
decide 1
holds '.rules == [{id: "builtin:never-brokered", effect: "deny", file: "", line: 0}]'
request '.source = "vendor" | .package.name = "any-thing"'
decide 1
holds '[.rules[].id] == ["builtin:admin-only"]'
request '.source = "old" | .package.name = "relic"'
decide 1
holds '[.rules[].id] == ["builtin:disabled"]'
request '.package.name = "docker"'
decide 0
holds '[.rules[].id] == ["base", "docker", "slow", "quick", "later", "tell", "tell-2", "watch", "as"] and .obligations == {reason: false, approval: ["group \"x y\" or netops"], timeout: 600, account: "worker", windows: ["nightly or weekend"], notices: ["be careful"], alerts: ["netops"]}'
request '.command = "uninstall" | del(.source, .transaction) | .package = {name: "vlc", owner: "alice", installed: true}'
decide 0
holds '.obligations.reason and [.rules[].id] == ["rm", "why"]'
request '.command = "uninstall" | del(.source) | .package = {name: "vlc", owner: "bob", owner_uid: 1001}'
decide 0
request '.command = "uninstall" | del(.source) | .package = {name: "vlc", owner: "alice", owner_uid: 1002}'
decide 1

# What need not be given.
echo '{"user": {"name": "alice"}, "command": "install", "package": {"name": "vlc"}, "source": "internal"}' >r.json
decide 0
echo '{"schema": "proviso/request/1", "user": {"name": "alice", "uid": null}, "command": "install", "package": {"name": "vlc", "version": null}, "source": "internal", "time": null, "host": null}' >r.json
decide 0

# ---- Several operations ----
several='del(.package, .source, .transaction) | .operations = [{command: "install", package: {name: "vlc"}, source: "internal"}, {command: "install", package: {name: "docker", dependency: true, wanted_by: ["vlc"]}, source: "internal"}]'
request "$several"
decide 0
holds '.decision == "allow" and (.operations | length) == 2 and [.operations[0].rules[].id] == ["base", "slow"] and .operations[0].obligations.timeout == 1200 and .operations[1].obligations.timeout == 600'
holds '[.rules[].id] == ["base", "docker", "slow", "quick", "later", "tell", "tell-2", "watch", "as"] and .obligations.timeout == 600 and .obligations.account == "worker"'
holds '(keys_unsorted | last) == "operations" and (.operations[0] | keys_unsorted) == ["decision", "default", "rules", "because", "obligations"]'
request "$several | .operations[1].package.name = \"nmap\""
decide 1
holds '.decision == "deny" and .default == false and .operations[0].decision == "allow" and .operations[1].decision == "deny" and [.rules[].id] == ["no-nmap", "no-nmap-2"]'
request "$several | .operations += [{command: \"uninstall\", package: {name: \"vim\"}}]"
decide 1
holds '.default == true and .rules == [] and .operations[2].default'
request "$several | .user = {name: \"root\"}"
decide 3
holds '.decision == "direct" and [.operations[].decision] == ["direct", "direct"] and [.rules[].effect] == ["direct"]'
request "$several | .operations = []"
decide 2
says err '`operations` is empty'
request "$several | .source = \"internal\""
decide 2
says err '`source` and `operations` exclude each other'
request "$several | .operations[1].user = {}"
decide 2
says err 'operation 2: unknown key `user`'
request "$several | .operations[0] = 7"
decide 2
says err 'operation 1: it must be an object, not an integer'
request "$several | .operations = {}"
decide 2
says err '`operations` must be an array, not an object'
request "$several | del(.operations[1].source)"
decide 2
says err 'operation 2: '
says err 'source'
request "$several | .operations[0].command = \"restart\""
decide 2
says err 'operation 1: '

# ---- Arguments and options ----
restart='{user: {name: "neo", groups: ["netops"]}, command: "restart", argument: {unit: "app-a.service", count: 2}}'
request "$restart"
decide 0
request "$restart | .option = {\"no-block\": true}"
decide 1
request "$restart | .option = {since: \"2026-01-01\", at: \"22:00:30\", day: \"sun\", grace: 60, min: \"1:2.0~rc1-1\"}"
decide 1
request "$restart | .option = {since: \"2026-01-02\", at: \"22:00\", day: \"mon\"}"
decide 0
request "$restart | .argument.unit = \"ssh.service\""
decide 2
says err 'argument.unit'
request "$restart | del(.argument.count)"
decide 2
says err 'argument.count'
request "$restart | .argument.what = 1"
decide 2
says err 'unknown key `argument.what`'
request "$restart | .option.\"no-blok\" = true"
decide 2
says err 'unknown key `option.no-blok` (did you mean `option.no-block`?)'
for bad in 'since = "2026-02-30"' 'since = "2026-1-1"' 'since = "2026-01-01 "' 'since = 20260101' 'at = "24:00"' 'at = "9:00"' 'at = "09:60"' 'day = "monday"' 'grace = -1' 'grace = 1.5' 'grace = "1m"' 'min = "no version"' 'min = 1'; do
  request "$restart | .option.$bad"
  decide 2
  says err "\`option.${bad%% *}\`"
done
request ".argument = {unit: \"app-a.service\"}"
decide 2
says err 'argument.unit'

# ---- Time ----
night='.package.name = "vlc"'
for time in 2026-11-21T10:00:00Z 2026-11-21t10:00:00z '2026-11-21 10:00:00.25+05:30' 2026-11-21T23:59:59-11:59 2024-02-29T00:00:00Z 2026-11-21T10:00:00; do
  request "$night | .time = \"$time\""
  decide 0
done
for time in 2026-11-21 2026-11-21T10:00Z 2026-11-21T24:00:00Z 2026-11-21T10:00:60Z 2026-13-01T10:00:00Z 2025-02-29T00:00:00Z 2026-11-21T10:00:00+1 2026-11-21T10:00:00+24:00 2026-11-21T10:00:00Zx 2026-11-21T10:00:00.Z yesterday ''; do
  request ".time = \"$time\""
  decide 2
  says err "\`time\` must be a time like"
done
request '.time = 1795255200'
decide 2
says err '`time` must be a time like "2026-11-21T10:00:00+01:00", not an integer'

# ---- Errors, each with its sentence ----
bad() { # FILTER SENTENCE
  request "$1"
  decide 2
  says err "$2"
  [ ! -s out ] || fail "an error has output: $1"
}
bad 'del(.user.name)' 'user.name'
bad 'del(.user)' 'user.name'
bad 'del(.command)' '`command` is missing'
bad 'del(.package)' 'package.name'
bad 'del(.source)' 'source'
bad '.command = "instal"' 'the policy declares no command `instal` (did you mean `install`?)'
bad '.command = "frobnicate"' 'the policy declares no command `frobnicate`'
bad '.command = 7' '`command` must be a string, not an integer'
bad '.source = "internl"' 'the policy declares no source `internl` (did you mean `internal`?)'
bad '.source = ["internal"]' '`source` must be a string, not an array'
bad '.sorce = "internal"' 'unknown key `sorce` (did you mean `source`?)'
bad '.user.nam = "x"' 'unknown key `user.nam` (did you mean `user.name`?)'
bad '.host.rom = "x"' 'unknown key `host.rom` (did you mean `host.room`?)'
bad '.host.unheard_of = "x"' 'the policy has no `attribute host.unheard_of: ...`'
bad '.package["essential\u001b[31m"] = true' 'essential\u{1b}[31m'
bad '.user = "alice"' '`user` must be an object, not a string'
bad '.user.name = 7' '`user.name` must be a string, not an integer'
bad '.user.uid = "1001"' '`user.uid` must be an integer, not a string'
bad '.user.uid = 10.5' '`user.uid` must be an integer, not a number with a fraction'
bad '.user.groups = "staff"' '`user.groups` must be an array of strings, not a string'
bad '.user.groups = ["a", null]' '`user.groups` must be an array of strings, and holds null'
bad '.package.installed = 0' '`package.installed` must be a bool, not an integer'
bad '.package.version = "not a version!"' '`package.version` is not a valid dpkg version: "not a version!"'
bad '.package.version = 3' '`package.version` must be a version in a string, not an integer'
bad '.request.timeout = "10m"' '`request.timeout` must be a number of seconds, not a string'
bad '.schema = "proviso/request/2"' 'only "proviso/request/1" is known'
bad '.command = "list"' 'package'
bad '.command = "uninstall"' 'source'
bad '.command = "optimize" | del(.package, .source)' 'host.floor'
bad '[.]' 'a request must be an object, not an array'
bad '.user.name = ("x" * 5000)' '`user.name` is longer than 4096 bytes'
bad '.user.groups = [range(5000) | tostring]' '`user.groups` has more than 4096 members'
bad '.source_admin_only = true' 'unknown key'

raw() { # TEXT SENTENCE
  printf '%b' "$1" >r.json
  decide 2
  says err "$2"
}
raw '' 'not valid JSON'
raw '{"user": {"name": "a", "name": "b"}}' 'duplicate object key'
raw '{"user": ' 'not valid JSON'
raw '{} {}' 'not valid JSON'
raw '{"user": {"name": "a\\u0000b"}}' 'not valid JSON'
raw '{"user": {"name": "a\xff"}}' 'not valid JSON'
raw '{"user": {"uid": 99999999999999999999}}' 'not valid JSON'
raw '{"user"\0: 1}' 'not valid JSON'
head -c 200000 /dev/zero | tr '\0' '[' >r.json
decide 2
says err 'not valid JSON'
run 2 "$proviso" eval p.policy --request absent.json
says err 'cannot open absent.json'
run 2 "$proviso" eval p.policy --request .
request .
run 2 "$proviso" eval absent.policy --request r.json
run 2 "$proviso" eval p.policy
run 2 "$proviso" eval p.policy --request r.json --requests r.json
run 2 "$proviso" eval p.policy extra --request r.json
printf 'policy wrong version 1 zone "UTC";\nallow nobody to list;\n' >wrong.policy
run 2 "$proviso" eval wrong.policy --request r.json
says err 'wrong.policy:2:7: error['

# ---- One a line ----
{
  jq -c . <<<"$base"
  jq -c '.package.name = "nmap"' <<<"$base"
  jq -c '.user.name = "root"' <<<"$base"
} >good.jsonl
run 0 "$proviso" eval p.policy --requests good.jsonl
[ "$(jq -r .decision out | xargs)" = "allow deny direct" ] || fail "decisions are not those of the lines, in order"
{
  sed -n 1p good.jsonl
  echo
  sed -n 2p good.jsonl
  echo '{"user": 1}'
  printf '%s\r\n' "$(sed -n 3p good.jsonl)"
  printf '%s' '   '
} >mixed.jsonl
run 2 "$proviso" eval p.policy --requests mixed.jsonl
[ "$(jq -r '.decision // .line' out | xargs)" = "allow 2 deny 4 direct 6" ] || fail "bad lines are not in their place: $(cat out)"
jq -c 'select(.error)' out >errors
holds '.schema == "proviso/error/1" and (.error | type) == "string" and (.line | type) == "number"' errors
says errors '"the line is blank"'
{ head -c 70000000 /dev/zero | tr '\0' ' '; echo; sed -n 1p good.jsonl; } >long.jsonl
run 2 "$proviso" eval p.policy --requests long.jsonl
[ "$(jq -r '.decision // .error' out | tr '\n' ,)" = "the line is longer than 64 MiB,allow," ] || fail "a long line: $(cat out)"
rm long.jsonl
: >none.jsonl
run 0 "$proviso" eval p.policy --requests none.jsonl
[ ! -s out ] || fail "no request gives output"
run 2 "$proviso" eval p.policy --requests absent.jsonl
for how in "--requests -" "-"; do
  checks=$((checks + 1))
  # shellcheck disable=SC2086
  "$proviso" eval p.policy $how <good.jsonl >out 2>err || fail "standard input: $(cat err)"
  [ "$(wc -l <out)" = 3 ] || fail "standard input, by $how"
done
checks=$((checks + 1))
"$proviso" eval p.policy --request - <<<"$base" >out || fail "one request from standard input"

# Each answer comes at once where somebody waits for it.
mkfifo in answers
"$proviso" eval p.policy - <in >answers &
pid=$!
exec 3>in 4<answers
sed -n 1p good.jsonl >&3
checks=$((checks + 1))
read -r -t 20 line <&4 && [ "$(jq -r .decision <<<"$line")" = allow ] || fail "no answer while the input stays open"
exec 3>&- 4<&-
wait "$pid" || true

# ---- Bundles say the same ----
"$proviso" key new k --no-password >/dev/null
run 0 "$proviso" compile p.policy -o p.bundle --key k.sec
run 0 "$proviso" eval p.policy --requests good.jsonl
cp out text.jsonl
run 0 "$proviso" eval p.bundle --pubkey k.pub --requests good.jsonl
cmp -s out text.jsonl || fail "the bundle decides otherwise than the text"
run 2 "$proviso" eval p.bundle --requests good.jsonl
says err 'give --pubkey'

# ---- A library decides too ----
printf 'import "std/apt.policy";\nallow everyone to list;\n' >library.policy
echo '{"user": {"name": "alice"}, "command": "list"}' >r.json
run 0 "$proviso" eval library.policy --request r.json
holds '.rules[0].id == "library.policy:2"'

# ---- The reasoning ----
request '.package.name = "nmap"'
run 1 "$proviso" eval p.policy --request r.json --explain
holds '[.explanation.matching[] | .id, .matches] == ["no-nmap", "true", "no-nmap-2", "true"] and (.explanation.nearest | length) > 0 and all(.explanation.nearest[]; .matches == "false" and any(.clauses[]; .holds == "false"))'
request '.transaction.removes = 1'
run 1 "$proviso" eval p.policy --request r.json --explain
holds '.explanation.matching == [{id: "slow"}] or (.explanation.nearest | map(.id) | index("base"))'
run 0 "$proviso" explain p.policy --request r.json
says out 'deny: install vlc from internal, for alice'
says out 'no rule allows it'
says out 'allow base (p.policy:26)'
says out 'no   when transaction.removes == 0'
request '.package.name = "nmap"'
run 0 "$proviso" explain p.policy --request r.json
says out 'deny no-nmap (p.policy:32)'
says out 'because: ask NetOps'
request '.package.name = "docker"'
run 0 "$proviso" explain p.policy --request r.json
says out 'approval by group "x y" or netops'
says out 'timeout 600s'
request "$several"
run 0 "$proviso" explain p.policy --request r.json
says out 'allow: the 2 operations together'
run 0 "$proviso" explain p.policy --request r.json --json
holds '.operations | all(.[]; has("explanation"))'
run 2 "$proviso" explain p.policy
run 0 "$proviso" explain PV0003
says out 'PV0003 reserved-word (error): '
run 0 "$proviso" explain pv1002 --json
holds '.schema == "proviso/diagnostic/1" and .code == "PV1002" and .severity == "warning" and (.summary | length) > 0'
run 2 "$proviso" explain PV9999

# ---- What would turn a denial into an allow, and what clauses saw ----
cat >x.policy <<'P'
policy x version 1 zone "Europe/Paris";
import "std/apt.policy";
attribute host.room: string optional;
role netops = group "netops";
source internal { type apt; location "deb https://a x main"; key "/etc/a.gpg"; self_service; }
source vendor { type apt; location "deb https://b x main"; key "/etc/b.gpg"; }
source secret { type apt; location "deb https://c x main"; key "/etc/c.gpg"; admin_only; self_service; }
window nightly = mon..fri 22:00..04:00;
condition small = transaction.download_size < 500MB    # of all
    and transaction.removes == 0;
command tune { argument level: string in { "low", "high" }; run "/bin/true" "--" argument.level; }
@id("base") allow everyone to install from internal when small;
@id("night") allow everyone to upgrade during nightly;
@id("office") allow everyone to outdated when time.clock >= 09:00 and time.clock < 17:00 and time.weekday != sun;
@id("old") allow everyone to sync until 2026-01-31;
@id("own") allow everyone to uninstall own when has request.reason;
@id("both") allow group "dev" to list when host.room == "lab" or false when has host.room;
@id("tune") allow everyone to tune when argument.level == "low";
@id("late") allow group "ops" to optimize during nightly;
@id("version") allow everyone to download from internal when package.version >= "2:1.0";
@id("no-nmap") deny everyone to install "nmap" unless user in netops because "ask NetOps";
@id("never") deny everyone to install "evil";
P
sed -i 's/ when host.room == "lab" or false when has host.room;/ when has host.room when host.room == "lab";/' x.policy
base='{"user": {"name": "alice", "uid": 1001, "groups": ["staff"]}, "command": "install", "package": {"name": "vlc"}, "source": "internal", "time": "2026-11-21T10:00:00+01:00"}'
# found FILTER: the changes that the request, changed by FILTER, would be allowed with.
found() {
  request "$1"
  run 1 "$proviso" eval x.policy --request r.json --explain
  jq -c '[.explanation.changes.found[] | [.by, (.set[] | [.path, .was, .value])]]' out >found
}
is() {
  checks=$((checks + 1))
  [ "$(cat found)" = "$1" ] || fail "found $(cat found), not $1"
}
found '.source = "vendor"'; is '[["requester",["source.name","vendor","internal"]]]'
found '.source = "secret"'; is '[["requester",["source.name","secret","internal"]]]'
found '.transaction = {download_size: 600000000}'; is '[["circumstances",["transaction.download_size",600000000,499999999]]]'
holds '.explanation.nearest[] | select(.id == "base") | .clauses[] | select(.kind == "when") | .holds == "false" and .reasons == [{"text": "small", "holds": "false", "condition": null, "file": "x.policy", "line": 12, "values": []}, {"text": "transaction.download_size < 500MB", "holds": "false", "condition": "small", "file": "x.policy", "line": 9, "values": [{"path": "transaction.download_size", "value": 600000000, "text": "transaction.download_size is 600000000"}]}]'
found '.package.download_size = 600000000'; is '[["circumstances",["transaction.download_size",600000000,499999999]]]'
found '.transaction = {download_size: 600000000, removes: 2}'; is '[["circumstances",["transaction.download_size",600000000,499999999],["transaction.removes",2,0]]]'
found '.command = "upgrade"'; is '[["requester",["time","2026-11-21T09:00:00Z","2026-11-23T21:00:00Z"]]]'
found '.command = "outdated" | del(.package, .source) | .time = "2026-11-21T17:00:00+01:00"'; is '[["requester",["time","2026-11-21T16:00:00Z","2026-11-23T08:00:00Z"]]]'
found '.command = "sync" | del(.package, .source)'; is '[["administrator",["time","2026-11-21T09:00:00Z","2026-01-31T09:00:00Z"]]]'
found '.command = "uninstall" | del(.source) | .package.owner = "alice"'; is '[["requester",["request.reason",null,"a reason"]]]'
found '.command = "uninstall" | del(.source) | .package.owner = "bob"'; is '[["administrator",["package.owner","bob","alice"],["request.reason",null,"a reason"]]]'
found '.command = "list" | del(.package, .source)'; is '[["administrator",["user.groups",["staff"],["staff","dev"]],["host.room",null,"lab"]]]'
found '.command = "tune" | del(.package, .source) | .argument.level = "high"'; is '[["requester",["argument.level","high","low"]]]'
found '.command = "optimize" | del(.package, .source)'; is '[["administrator",["user.groups",["staff"],["staff","ops"]],["time","2026-11-21T09:00:00Z","2026-11-23T21:00:00Z"]]]'
found '.command = "download" | .package.version = "1.0"'; is '[["requester",["package.version","1.0","2:1.0"]]]'
found '.package.name = "nmap"'; is '[["administrator",["user.groups",["staff"],["staff","netops"]]]]'
holds '.explanation.changes.found[0].set[0] | .added == ["netops"] and .removed == []'
found '.package.name = "evil"'; is '[]'
found '.command = "config" | del(.package, .source)'; is '[]'
found '.command = "pin" | del(.source)'; is '[]'
# A change that is told is one that the machine allows.
request '.transaction = {download_size: 499999999}'
run 0 "$proviso" eval x.policy --request r.json --explain
holds '.explanation | .schema == "proviso/explanation/1" and (has("changes") | not) and .matching[0].id == "base" and .nearest[0].id == "no-nmap"'
# In text, and from a bundle, which has clauses and no conditions.
request '.transaction = {download_size: 600000000}'
run 0 "$proviso" explain x.policy --request r.json
says out '             false   in small: transaction.download_size < 500MB: transaction.download_size is 600000000'
says out '  circumstances: transaction.download_size is 499999999, not 600000000'
request '.package.name = "evil"'
run 0 "$proviso" explain x.policy --request r.json
says out 'no change of one or two things about this request was found that would allow it'
run 0 "$proviso" key new x --no-password
run 0 "$proviso" compile x.policy -o x.bundle --key x.sec
request '.transaction = {download_size: 600000000}'
run 0 "$proviso" explain x.bundle --pubkey x.pub --request r.json
says out '      no   when small: transaction.download_size is 600000000, transaction.removes is 0'
says out '  circumstances: transaction.download_size is 499999999, not 600000000'
run 1 "$proviso" eval x.bundle --pubkey x.pub --request r.json --explain
holds 'all(.explanation.nearest[].clauses[]; has("reasons") | not)'
# Operations are explained one by one.
request 'del(.package, .source) | .operations = [{command: "install", package: {name: "vlc"}, source: "vendor"}, {command: "install", package: {name: "vlc"}, source: "internal"}]'
run 1 "$proviso" eval x.policy --request r.json --explain
holds '(has("explanation") | not) and (.operations[0].explanation.changes.found[0].set[0].value == "internal") and (.operations[1].explanation | has("changes") | not)'

finish
