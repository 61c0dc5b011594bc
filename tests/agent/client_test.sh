#!/bin/bash
# selfserve against a scripted agent, as real unprivileged ids: the request that it sends with its passcode, its exit
# statuses, what people see and what --json prints, and hostile text and servers.
#   client_test.sh BUILD
set -euo pipefail
build=$1
[ "$(id -u)" -eq 0 ] || { echo "needs root"; exit 77; }
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
dir=$(mktemp -d /tmp/clienttest.XXXXXX)
trap 'rm -rf "$dir"' EXIT
chmod 0755 "$dir"
if findmnt -no OPTIONS -T "$dir" 2>/dev/null | grep -qw nosuid; then echo "/tmp is nosuid"; exit 77; fi
gid=61234 uid=61001
mkdir "$dir/bin" "$dir/libexec" "$dir/etc" "$dir/open"
chmod 0777 "$dir/open" # one of the servers is not root
install -m 0755 "$build/bin/selfserve" "$dir/bin/selfserve"
install -m 0755 "$build/libexec/selfserve-pass" "$dir/libexec/selfserve-pass"
chgrp $gid "$dir/libexec/selfserve-pass"
chmod 2755 "$dir/libexec/selfserve-pass"
head -c 32 /dev/urandom >"$dir/etc/client.key"
chgrp $gid "$dir/etc/client.key"
chmod 0640 "$dir/etc/client.key"
export LC_ALL=C.UTF-8 TZ=UTC
unset PROVISO_SOCKET NO_COLOR
cd /

failed=0
fail() { echo "FAILED: $name: $*"; failed=1; }
as() { setpriv --reuid="$uid" --regid="$uid" --clear-groups env TERM=xterm "$@"; }

hello='{"schema":"proviso/hello/1","protocol":1,"challenge":"@CHALLENGE@","uid":61001,"brokering":true,"ledger":true,"agent":"0.1.0","policy":{"name":"workstations","title":"Managed workstations","version":7,"hash":"@CHALLENGE@"}}'
id='"id":"0123456789abcdef"'
accepted="{\"schema\":\"proviso/accepted/1\",$id}"
none='"obligations":{"reason":false,"approval":[],"timeout":null,"account":null,"windows":[],"notices":[],"alerts":[]}'
rule() { echo "{\"id\":\"$1\",\"effect\":\"$2\",\"file\":\"workstations.policy\",\"line\":$3}"; }
decision() { echo "{\"decision\":\"$1\",\"default\":${4-false},\"rules\":[$2],\"because\":[${3-}],$none}"; }
verdict() { echo "{\"schema\":\"proviso/verdict/1\",$id,\"planned\":$1,\"final\":$2,\"text\":$3,\"decision\":$4,\"operations\":$5}"; }
operation() {
    echo "{\"schema\":\"proviso/operation/1\",\"command\":\"$1\",\"package\":\"$2\",\"architecture\":\"amd64\",\"installed_version\":$3,\"version\":$4,\"source\":\"internal\",\"dependency\":$5,\"held_back\":false,\"download_size\":10,\"decision\":$6}"
}
result() { echo "{\"schema\":\"proviso/result/1\",$id,\"outcome\":\"$1\",\"status\":${2-null},\"signal\":${3-null},\"reboot\":false,\"text\":${4-null}}"; }
submit='{"do":"submit"}'
started="{\"schema\":\"proviso/started/1\",$id}"

# play NAME -- ARGUMENT...: the script comes on standard input; selfserve's exit, output and the request are in $status,
# $dir/out, $dir/err and $dir/sent. Every line of the script that is a message, and with --json every line of the
# client's, is kept for the schema's test.
play() {
    name=$1
    shift 2
    rm -f "$dir/open/sock" "$dir/sent" "$dir/ready"
    cat >"$dir/script"
    "$here/fake_agent.py" "$dir/open/sock" "$dir/script" "$dir/sent" "$dir/etc/client.key" >"$dir/ready" 2>"$dir/agent" &
    local agent=$!
    for _ in $(seq 100); do [ -s "$dir/ready" ] && break; sleep 0.05; done
    status=0
    as ${wrap-} timeout 20 "$dir/bin/selfserve" --socket "$dir/open/sock" "$@" >"$dir/out" 2>"$dir/err" </dev/null || status=$?
    wait $agent || fail "the agent: $(cat "$dir/agent")"
    sed "s/@CHALLENGE@/$(printf '%064d' 0)/g" "$dir/script" | grep '"schema"' | grep -v '"do"' >>"$dir/record" || true
    [ ! -e "$dir/sent" ] || { cat "$dir/sent" && echo; } >>"$dir/record"
    case " $* " in *" --json "*) cat "$dir/out" >>"$dir/record" ;; esac
}
exits() { [ "$status" -eq "$1" ] || fail "exit $status, not $1: $(cat "$dir/err")"; }
says() { grep -qF -- "$2" "$dir/$1" || fail "std$1 does not say '$2' but: $(cat "$dir/$1")"; }
silent() { ! grep -qF -- "$2" "$dir/$1" || fail "std$1 says '$2'"; }
sent() { [ "$(jq -c "$1" "$dir/sent")" = "$2" ] || fail "sent $1 is $(jq -c "$1" "$dir/sent"), not $2"; }

base=$(rule base allow 30)
allow=$(decision allow "$base")

play install -- install vlc gimp --reason "training vidéo" --version 3.0 --source internal --timeout 10m --yes <<EOT
$hello
$submit
$accepted
{"schema":"proviso/progress/1","phase":"planning","percent":null,"text":""}
$(verdict false false null "$allow" 1)
$(operation install vlc null null false "$allow")
$(verdict true true null "$allow" 2)
$(operation install libvlc5 null '"3.0.18-2"' true "$allow")
$(operation upgrade vlc '"3.0.17-1"' '"3.0.18-2"' false "$allow")
$started
{"schema":"proviso/progress/1","phase":"running","percent":50,"text":"Unpacking vlc"}
{"schema":"proviso/output/1","text":"Selecting previously unselected package vlc.\n"}
$(result done 0)
EOT
exits 0
sent .request '{"verb":"broker","counter":1,"timeout":600,"cwd":"/","yes":true,"command":"install","version":"3.0","source":"internal","reason":"training vidéo","arguments":["vlc","gimp"]}'
says err "allowed: install vlc gimp"
says err "by base (workstations.policy:30)"
says err "install  libvlc5  3.0.18-2              from internal  (dependency)"
says err "upgrade  vlc      3.0.17-1 -> 3.0.18-2  from internal"
says err " 50%  Unpacking vlc"
says err "done"
silent err "Selecting"
[ "$(grep -c allowed "$dir/err")" -eq 1 ] || fail "the verdict before planning is shown too"

play output-on-failure -- install vlc <<EOT
$hello
$submit
$accepted
$started
{"schema":"proviso/output/1","text":"dpkg: error: \u001b]0;owned\u0007 caf\u00e9\n"}
$(result done 100)
EOT
exits 100
says out "dpkg: error:"
says err "failed"

play denied -- install nmap <<EOT
$hello
$submit
$accepted
$(verdict false true null "$(decision deny "$(rule no-sniffers deny 41)" '"Network tools need NetOps: https://it.example/netops"')" 0)
$(result denied)
EOT
exits 77
says err "denied: install nmap"
says err "Network tools need NetOps: https://it.example/netops"
says err "by rule no-sniffers (workstations.policy:41)"

play denied-by-default -- uninstall vlc <<EOT
$hello
$submit
$accepted
$(verdict false true null "$(decision deny '' '' true)" 0)
$(result denied)
EOT
exits 77
says err "no rule allows it"

play denied-plan -- install fast-net <<EOT
$hello
$submit
$accepted
$(verdict true true null "$(decision deny '{"id":"builtin:protected","effect":"deny","file":"","line":0}')" 2)
$(operation uninstall site-guard '"4.1"' null true "$(decision deny '{"id":"builtin:protected","effect":"deny","file":"","line":0}')")
$(operation install fast-net null '"2.0"' false "$allow")
$(result denied)
EOT
exits 77
says err "remove   site-guard  4.1  from internal  denied: builtin:protected"
says err "by rule builtin:protected"

custom='Installs from custom source locations are not allowed in background mode. Please remove custom source and try again using default (configured) package source locations.'
play custom-source -- install vlc --source "deb https://evil.example/ x main" <<EOT
$hello
$submit
$accepted
$(verdict false true "\"$custom\"" "$(decision deny '{"id":"builtin:custom-source","effect":"deny","file":"","line":0}')" 0)
$(result denied null null "\"$custom\"")
EOT
exits 77
[ "$(grep -cF "$custom" "$dir/err")" -eq 1 ] || fail "the exact message is not there once: $(cat "$dir/err")"

for verb in config feature source apikey; do
    play "never $verb" -- $verb list --some=option -x <<EOT
$hello
$submit
$accepted
$(verdict false true null "$(decision deny '{"id":"builtin:never-brokered","effect":"deny","file":"","line":0}')" 0)
$(result denied)
EOT
    exits 77
    sent '[.request.command,.request.arguments]' "[\"$verb\",[\"list\",\"--some=option\",\"-x\"]]"
done

play run -- run restart --no-block --lines=5 nginx.service -- --lines=6 <<EOT
$hello
$submit
$accepted
$(verdict false true null "$allow" 0)
$started
{"schema":"proviso/output/1","text":"out \u00e9\n"}
{"schema":"proviso/output/1","base64":"AP8bWzMxbQo="}
$(result done 3)
EOT
exits 3
sent '[.request.command,.request.arguments,.request.options]' '["restart",["nginx.service","--lines=6"],[{"name":"no-block"},{"name":"lines","value":"5"}]]'
printf 'out é\n\0\377\33[31m\n' | cmp -s - "$dir/out" || fail "output is not byte for byte"

play killed -- run report <<EOT
$hello
$submit
$started
$(result done null 9)
EOT
exits 137

play direct -- install vlc <<EOT
$hello
$submit
$accepted
$(verdict false true null "$(decision direct "$(rule workstations.policy:25 direct 25)")" 0)
{"schema":"proviso/direct/1",$id,"argv":["/bin/sh","-c","echo direct as \$(id -u); exit 5"]}
$(result direct)
EOT
exits 5
says out "direct as $uid"
says err "running with your own rights: /bin/sh"

play direct-dry -- install vlc --dry-run <<EOT
$hello
$submit
{"schema":"proviso/direct/1",$id,"argv":["/bin/sh","-c","echo ran"]}
$(result direct)
EOT
exits 0
silent out ran
sent .request.dry_run true

play rights -- rights <<EOT
$hello
$submit
{"schema":"proviso/rule/1","rule":$base,"truth":"unknown","title":null,"clauses":[{"kind":"subject","truth":"true","text":"everyone"},{"kind":"commands","truth":"unknown","text":"install, upgrade"},{"kind":"sources","truth":"unknown","text":"from self_service"},{"kind":"when","truth":"unknown","text":"when small"}],"because":[],"duties":[]}
{"schema":"proviso/rule/1","rule":$(rule no-sniffers deny 41),"truth":"unknown","title":null,"clauses":[{"kind":"commands","truth":"unknown","text":"install"},{"kind":"object","truth":"unknown","text":"sniffers"}],"because":["Network tools need NetOps"],"duties":[]}
{"schema":"proviso/rule/1","rule":$(rule workstations.policy:48 require 48),"truth":"unknown","title":null,"clauses":[{"kind":"commands","truth":"unknown","text":"install"}],"because":[],"duties":[{"kind":"timeout","text":null,"seconds":600}]}
{"schema":"proviso/end/1",$id,"count":3}
EOT
exits 0
sent .request '{"verb":"rights","counter":1,"cwd":"/"}'
says out "policy workstations version 7: Managed workstations"
says out "allow?    install, upgrade from self_service  when small  base (workstations.policy:30)"
says out "Network tools need NetOps"
says out "require?  timeout 600s for install"
says out "workstations.policy:48"
silent out "workstations.policy:48 (workstations.policy:48)"

play explain -- explain install nmap <<EOT
$hello
$submit
$accepted
$(verdict false true null "$(decision deny "$(rule no-sniffers deny 41)" '"Network tools need NetOps"')" 0)
{"schema":"proviso/rule/1","rule":$(rule no-sniffers deny 41),"truth":"true","title":null,"clauses":[{"kind":"object","truth":"true","text":"sniffers"},{"kind":"unless","truth":"true","text":"unless user in netops"}],"because":["Network tools need NetOps"],"duties":[]}
{"schema":"proviso/rule/1","rule":$(rule dev-tools allow 33),"truth":"false","title":null,"clauses":[{"kind":"subject","truth":"false","text":"dev"},{"kind":"commands","truth":"true","text":"install"}],"because":[],"duties":[]}
{"schema":"proviso/end/1",$id,"count":2}
EOT
exits 77
sent '[.request.verb,.request.command,.request.arguments]' '["explain","install",["nmap"]]'
says out "would be denied: install nmap"
says out "deny rule, which matches: no-sniffers (workstations.policy:41)"
[ "$(grep -c "Network tools need NetOps" "$dir/out")" -eq 1 ] || fail "the reason is not told once"
says out "it would not stand in the way if one of these did not hold:"
says out "allow rule, which does not match: dev-tools (workstations.policy:33)"
says out "    no   dev"
says out "it would allow this if this held:"

play explain-run -- explain run restart --no-block nginx.service <<EOT
$hello
$submit
$(verdict false true null "$allow" 0)
{"schema":"proviso/end/1",$id,"count":0}
EOT
exits 0
sent '[.request.command,.request.arguments,.request.options]' '["restart",["nginx.service"],[{"name":"no-block"}]]'

row() { echo "{\"schema\":\"proviso/history/1\",$id,\"time\":1795000000,\"command\":\"install\",\"arguments\":[\"$1\"],\"decision\":\"allow\",\"outcome\":$2,\"status\":$3,\"end\":null,\"text\":null}"; }
play history -- history --limit 2 <<EOT
$hello
$submit
$(row vlc '"done"' 0)
$(row "g\\u001b[2Jimp" '"done"' 100)
$(row third null null)
{"schema":"proviso/end/1",$id,"count":3}
EOT
exits 0
says out "2026-11-18 11:06  install vlc"
says out 'install g\x1b[2Jimp'
says out "done (status 100)"
silent out third

play json -- install vlc --json <<EOT
$hello
$submit
$accepted
$(verdict true true null "$allow" 0)
$started
{"schema":"proviso/output/1","text":"x\n"}
$(result done 100)
EOT
exits 100
[ "$(jq -rs 'map(.schema|split("/")[1])|join(" ")' "$dir/out")" = "accepted verdict started output result outcome" ] || fail "lines: $(cat "$dir/out")"
[ "$(tail -n 1 "$dir/out" | jq -c '[.outcome,.exit]')" = '["done",100]' ] || fail "the last line is not the outcome"

for case in passcode:78:configuration identity:77:denied limit:69:unreachable off:78:configuration policy:78:configuration ledger:69:unreachable request:64:usage internal:70:failed; do
    IFS=: read -r code wanted outcome <<<"$case"
    play "error $code" -- install vlc --json <<EOT
$hello
$submit
{"schema":"proviso/error/1","code":"$code","text":"the reason"}
EOT
    exits "$wanted"
    [ "$(tail -n 1 "$dir/out" | jq -c '[.outcome,.exit,.text]')" = "[\"$outcome\",$wanted,\"the reason\"]" ] || fail "outcome: $(tail -n 1 "$dir/out")"
done

play nothing -- upgrade <<EOT
$hello
$submit
$(result nothing null null '"There is nothing to do."')
EOT
exits 0
says err "nothing to do"
for case in dry-run:0 timeout:124 cancelled:130 failed:70 interrupted:70; do
    play "outcome ${case%:*}" -- upgrade <<EOT
$hello
$submit
$(result "${case%:*}" null null '"so it is"')
EOT
    exits "${case#*:}"
    says err "so it is"
done

# An interrupt asks the agent to cancel what has not started, and waits for its word.
wrap="timeout --preserve-status --signal INT 1"
play interrupt -- install vlc <<EOT
$hello
$submit
$accepted
{"do":"expect","schema":"proviso/cancel/1"}
$(result cancelled)
EOT
exits 130
says err cancelled
wrap=
play notice -- run report <<EOT
$hello
$submit
$(verdict false true null "$(sed 's/"notices":\[\]/"notices":["The report takes a while."]/' <<<"$allow")" 0)
$started
$(result done 0)
EOT
exits 0
says err "note: The report takes a while."
silent err allowed

# Servers that are not the agent, or broken ones.
play not-root -- install vlc <<EOT
{"do":"uid","uid":61002}
$hello
EOT
exits 78
says err "does not run as root (uid 61002)"
play goes-away -- install vlc <<EOT
$hello
$submit
$accepted
EOT
exits 69
play refuses-at-once -- install vlc <<EOT
{"schema":"proviso/error/1","code":"limit","text":"too many connections"}
EOT
exits 69
says err "too many connections"
play other-protocol -- install vlc <<EOT
$(sed 's/"protocol":1/"protocol":9/' <<<"$hello" | sed 's/^{/{"later":1,/' )
EOT
sed -i '/"protocol":9/d' "$dir/record" # not of this schema, as it should be
exits 69
says err "speaks version 9"
for hex in 00000000 ffffffff 05000400 02000000 0500000041; do
    play "bytes $hex" -- install vlc <<EOT
$hello
$submit
{"do":"raw","hex":"$hex"}
EOT
    [ "$status" -eq 69 ] || [ "$status" -eq 70 ] || fail "exit $status"
done
play bad-json -- install vlc <<EOT
$hello
$submit
{"do":"raw","hex":"0500000041414141ff"}
EOT
exits 70
says err "malformed"
rm -f "$dir/open/sock"
name=no-agent status=0
as "$dir/bin/selfserve" install vlc --socket "$dir/open/sock" >"$dir/out" 2>"$dir/err" || status=$?
exits 69
says err "cannot be reached at $dir/open/sock"

# Where the key is out of reach, the client says why.
wrap="setpriv --no-new-privs"
play no-new-privs -- install vlc <<EOT
$hello
EOT
wrap=
exits 78
says err "no_new_privs"
chmod 0644 "$dir/etc/client.key"
play open-key -- install vlc <<EOT
$hello
EOT
exits 78
says err "an administrator can check its owner and mode"
chmod 0640 "$dir/etc/client.key"

# Usage.
usage() {
    local wanted=$1 words=$2
    shift 2
    name="usage: $*" status=0
    as "$dir/bin/selfserve" "$@" >"$dir/out" 2>"$dir/err" </dev/null || status=$?
    exits "$wanted"
    says err "$words"
}
usage 64 "what is to be done?"
usage 64 "the name of a package is missing" install
usage 64 "there is no verb 'frobnicate'" frobnicate
for verb in info list search outdated pin sync optimize download requests cancel approve reject shim; do
    usage 64 "'$verb' is not part of version" $verb
done
usage 64 "takes a duration" install vlc --timeout 0
usage 64 "takes a duration" install vlc --timeout 10x
usage 64 "takes a duration" install vlc --timeout 99999999999999999d
usage 64 "takes no argument" rights vlc
usage 64 "the command is missing" run
usage 64 "unrecognized option" install --frobnicate vlc
usage 64 "more than 64 arguments" install $(seq -f 'p%g' 65)
usage 64 "stands in the agent's policy" run --run-actual report
name=help status=0
as "$dir/bin/selfserve" --help >"$dir/out" 2>"$dir/err" || status=$?
exits 0
for verb in install upgrade uninstall run rights explain history; do says out "  $verb "; done
silent out outdated

# --run-actual asks nobody. The real program is apt-get; --simulate keeps it from doing anything.
name=run-actual status=0
as "$dir/bin/selfserve" install --run-actual --dry-run no-such-package-here >"$dir/out" 2>"$dir/err" || status=$?
exits 100
says err "/usr/bin/apt-get --simulate install -- no-such-package-here"

# A terminal: escapes of others are made visible, the bar is as wide as the terminal, colours can be switched off.
cat >"$dir/tty.script" <<EOT
$hello
$submit
$accepted
$(verdict true true null "$(decision allow "$base" '"\u001b[2J\u202eevil"')" 0)
$started
{"schema":"proviso/progress/1","phase":"running","percent":50,"text":"Unpacking \u001b[31m \u4e2d\u6587 a-very-long-name-that-does-not-fit-into-the-line-of-this-terminal"}
{"schema":"proviso/output/1","text":"caf\u00e9 \u001b]0;title\u0007\tx\r\n"}
$(result done 0)
EOT
for colour in "" NO_COLOR=1; do
    name="terminal $colour"
    rm -f "$dir/open/sock" "$dir/ready"
    "$here/fake_agent.py" "$dir/open/sock" "$dir/tty.script" "$dir/sent" "$dir/etc/client.key" >"$dir/ready" 2>"$dir/agent" &
    for _ in $(seq 100); do [ -s "$dir/ready" ] && break; sleep 0.05; done
    status=0
    as env ${colour:+"$colour"} script -qec "stty cols 60; $dir/bin/selfserve --socket $dir/open/sock install vlc --verbose" /dev/null </dev/null >"$dir/out" 2>"$dir/err" || status=$?
    wait $! || fail "the agent: $(cat "$dir/agent")"
    exits 0
    says out '\x1b[2J\u{202e}evil'
    says out '[############............]  50%  Unpacking \x1b[31m 中文'
    says out 'café \x1b]0;title\x07'
    silent out $'\33[2J'
    silent out $'\33]0'
    silent out $'\u202e'
    silent out "of-this-terminal"
    if [ -n "$colour" ]; then silent out $'\33[32m'; else says out $'\33[32mallowed'; fi
done

"$here/protocol_test.py" "$root" "$dir/record" || { echo "FAILED: messages that do not fit the schema"; failed=1; }
[ "$failed" -eq 0 ] && echo "selfserve: all as it should be"
exit $failed
