#!/bin/bash
# `proviso compile`, `key` and `inspect`: what is written, signed and shown.
. "$(dirname "$0")/lib.sh"
workstations=$PV_ROOT/policies/workstations.policy

# ---- key ----
run 0 "$proviso" key new k --no-password --json
holds '.schema == "proviso/key/1" and (.id | test("^[0-9A-F]{1,16}$")) and .secret_file == "k.sec" and .public_file == "k.pub"'
id=$(jq -r .id out)
[ "$(stat -c %a k.sec)" = 600 ] || fail "the secret key can be read by others"
run 2 "$proviso" key new k --no-password
says err "k.sec exists"
run 0 "$proviso" key show k.pub
says out "$id"
run 0 "$proviso" key show k.sec
says out "$id"
run 2 "$proviso" key show absent
run 2 "$proviso" key show "$workstations"
run 2 "$proviso" key sing k
run 2 "$proviso" key new

# Passphrases come from a descriptor or a terminal; without either nothing is made.
checks=$((checks + 1))
printf 'open sesame\n' | "$proviso" key new locked --passphrase-fd 0 >out 2>err || fail "a key with a passphrase: $(cat err)"
says out "key id"
run 2 setsid "$proviso" key new silent
says err "no terminal"
[ ! -e silent.sec ] || fail "a key without a passphrase was written"
run 2 "$proviso" key new bad --passphrase-fd x
run 2 "$proviso" key new bad --passphrase-fd 99
says err "descriptor 99"
checks=$((checks + 1))
if printf '\n' | "$proviso" key new bad --passphrase-fd 0 >out 2>err; then fail "an empty passphrase is taken"; fi
says err "empty"

# ---- compile ----
run 0 "$proviso" compile "$workstations" -o a.bundle --key k.sec --json
holds '.schema == "proviso/compiled/1" and .file == "a.bundle" and .name == "workstations" and .version == 7 and .signed and .bound > 0 and (.content_sha256 | test("^[0-9a-f]{64}$"))'
hash=$(jq -r .content_sha256 out)
[ "$(jq .size out)" = "$(stat -c %s a.bundle)" ] || fail "the size told is not the file's"
run 0 "$proviso" compile "$workstations" -o b.bundle
says err "b.bundle is not signed"
says err "not proven"
says out "not signed"
cmp -s a.bundle b.bundle || fail "the same text gives other bytes"
[ ! -e b.bundle.minisig ] || fail "an unsigned bundle has a signature"
minisign -Vqm a.bundle -p k.pub || fail "minisign refuses the signature"
cp a.bundle.minisig first.minisig
run 0 "$proviso" compile "$workstations" -o a.bundle --key k.sec
cmp -s a.bundle.minisig first.minisig || fail "the signature is not reproducible"

checks=$((checks + 1))
printf 'open sesame\n' | "$proviso" compile "$workstations" -o c.bundle --key locked.sec --passphrase-fd 0 >out 2>err || fail "signing with a passphrase: $(cat err)"
minisign -Vqm c.bundle -p locked.pub || fail "minisign refuses the second signature"
checks=$((checks + 1))
if printf 'wrong\n' | "$proviso" compile "$workstations" -o d.bundle --key locked.sec --passphrase-fd 0 >out 2>err; then fail "a wrong passphrase signs"; fi
[ ! -e d.bundle ] || fail "a bundle was written that could not be signed"
run 2 setsid "$proviso" compile "$workstations" -o d.bundle --key locked.sec
run 2 "$proviso" compile "$workstations" -o d.bundle --key absent.sec
run 2 "$proviso" compile "$workstations" -o "$tmp/no/such/dir/d.bundle"
says err "cannot write"
run 2 "$proviso" compile "$workstations"
run 2 "$proviso" compile absent.policy -o d.bundle
[ ! -e d.bundle ] || fail "a bundle was written in vain"
ls | grep -q 'd.bundle\.' && fail "a temporary file is left"

# Nothing is written where there is an error, and what was there stays.
printf 'policy wrong version 1 zone "UTC";\nallow nobody to list;\n' >wrong.policy
cp a.bundle kept.bundle
run 1 "$proviso" compile wrong.policy -o kept.bundle
cmp -s a.bundle kept.bundle || fail "a failed compilation wrote something"
printf 'import "std/apt.policy";\nallow user "a" to list;\n' >library.policy
run 1 "$proviso" compile library.policy -o library.bundle
says err "library"
[ ! -e library.bundle ] || fail "a library was compiled to a bundle"

# Where the text stands does not change what it says.
mkdir moved
{ echo "# a comment"; cat "$workstations"; } >moved/workstations.policy
run 0 "$proviso" compile moved/workstations.policy -o m.bundle --json
[ "$(jq -r .content_sha256 out)" = "$hash" ] || fail "a comment changes the content's hash"
cmp -s a.bundle m.bundle && fail "lines moved and the debug section did not"

# ---- inspect ----
run 0 "$proviso" inspect a.bundle --pubkey k.pub
says out "workstations \"Managed workstations\" version 7"
says out "content: sha256 $hash"
says out 'signature: good, "proviso policy workstations version 7"'
says out "zone: Europe/Paris"
says out "steps a decision"
says out "internal (apt, priority 1, self_service)"
says out "vendor (apt, priority 0, admin_only)"
run 0 "$proviso" inspect b.bundle
says out "signature: NONE"
run 0 "$proviso" inspect a.bundle
says out "NOT CHECKED"
run 0 "$proviso" inspect b.bundle --rules
says out "deny builtin:never-brokered"
says out "allow base (workstations.policy:"
says out "because Network tools need NetOps: https://it.example/netops"
says out "requires timeout 600s"
run 0 "$proviso" inspect b.bundle --code
says out "decide:"
says out "plan:"
says out "return direct"
says out "return none"
says out "clause 0:"
says out "end"
run 0 "$proviso" inspect b.bundle --json
holds '.schema == "proviso/bundle/1" and .name == "workstations" and .version == 7 and .zone == "Europe/Paris" and (.signed | not) and (.verified | not) and .content_sha256 == "'"$hash"'" and .bound > 0 and .clause_bound > 0'
holds '([.sources[].name] == ["internal", "debian", "vendor"]) and any(.commands[]; .name == "run-report" and .provider == null and .timeout == 300) and any(.sets[]; .name == "sniffers" and .members == ["nmap", "tcpdump"] and .patterns == ["wireshark*"])'
holds '[.rules[0:4][].id] == ["builtin:never-brokered", "builtin:admin-only", "builtin:disabled", "builtin:protected"] and any(.rules[]; .id == "q4-exception" and .annotations.owner == "jane@it.example" and (.clauses | index("until 2026-12-31")))'
holds 'any(.rules[]; .duties == [{kind: "timeout", text: null, seconds: 600}])'
run 2 "$proviso" inspect a.bundle --json --code

# Damage is refused, wherever it is, before anything is read from it.
run 2 "$proviso" inspect a.bundle --pubkey locked.pub
says err "signature"
printf 'X' | dd of=a.bundle bs=1 seek=5000 conv=notrunc status=none
run 2 "$proviso" inspect a.bundle --pubkey k.pub
says err "refused"
run 2 "$proviso" inspect a.bundle
head -c 4000 b.bundle >short.bundle
run 2 "$proviso" inspect short.bundle
run 2 "$proviso" inspect absent.bundle
rm a.bundle.minisig
run 2 "$proviso" inspect a.bundle --pubkey k.pub
says err "not signed"
finish
