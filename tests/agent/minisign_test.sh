#!/bin/bash
# Keys and signatures against Debian's minisign, both ways: what one makes, the other reads, encrypted or not, prehashed
# or legacy; what one refuses, the other refuses.
set -eu
driver=$1
command -v minisign >/dev/null || { echo "minisign is not installed"; exit 1; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
head -c 100000 /dev/urandom >file
: >empty
fail() { echo "FAIL: $*" >&2; exit 1; }
refused() { if "$@" >out 2>&1; then fail "accepted: $*"; fi; }

# Ours to theirs, in clear.
"$driver" keygen ours.key ours.pub
[ "$(stat -c %a ours.key)" = 600 ] || fail "mode of the secret key"
for f in file empty; do
    "$driver" sign ours.key '' "$f" "bundle workstations 7" >"$f.minisig"
    minisign -Q -V -p ours.pub -m "$f" >out || fail "minisign refuses our signature of $f"
    grep -qx 'bundle workstations 7' out || fail "minisign shows another trusted comment: $(cat out)"
    minisign -V -H -p ours.pub -m "$f" >out || fail "not prehashed"
    [ "$("$driver" verify ours.pub "$f" "$f.minisig")" = 'bundle workstations 7' ] || fail "we refuse our own"
done
minisign -R -s ours.key -p again.pub >out 2>&1 </dev/null || fail "minisign cannot read our key: $(cat out)"
cmp ours.pub again.pub || fail "another public key file than minisign's"
# The same for an id that begins with a zero digit, which is not written.
for try in $(seq 400); do
    rm -f short.key short.pub
    "$driver" keygen short.key short.pub
    [ "$(head -n 1 short.pub | awk '{print length($NF)}')" -ge 16 ] || break
done
[ "$(head -n 1 short.pub | awk '{print length($NF)}')" -lt 16 ] || fail "$try keys, and no short id among them"
rm -f again.pub
minisign -R -s short.key -p again.pub >out 2>&1 </dev/null || fail "minisign cannot read our key: $(cat out)"
cmp short.pub again.pub || fail "another public key file than minisign's, for a short id"
minisign -S -s ours.key -x theirs.minisig -t 'by minisign' -m file >out 2>&1 </dev/null || fail "minisign cannot sign with our key: $(cat out)"
[ "$("$driver" verify ours.pub file theirs.minisig)" = 'by minisign' ] || fail "their signature with our key"

# Ours to theirs, encrypted.
"$driver" keygen enc.key enc.pub 'correct horse'
printf 'correct horse\n' | minisign -S -s enc.key -x enc.minisig -t encrypted -m file >out 2>&1 || fail "minisign cannot open our encrypted key: $(cat out)"
[ "$("$driver" verify enc.pub file enc.minisig)" = encrypted ] || fail "signature with our encrypted key"
refused "$driver" sign enc.key '' file x
grep -q 'passphrase is needed' out || fail "no passphrase: $(cat out)"
refused "$driver" sign enc.key 'wrong horse' file x
grep -q 'wrong passphrase' out || fail "wrong passphrase: $(cat out)"

# Theirs to ours: in clear, encrypted, legacy.
minisign -G -W -p clear.pub -s clear.key >out 2>&1 </dev/null
[ "$("$driver" public clear.key '')" = "$(sed -n 2p clear.pub)" ] || fail "their key in clear"
"$driver" sign clear.key '' file 'with their key' >c.minisig
minisign -Q -V -p clear.pub -x c.minisig -m file >out || fail "our signature with their key"
printf 'battery\nbattery\n' | minisign -G -p locked.pub -s locked.key >out 2>&1 || fail "minisign -G: $(cat out)"
[ "$("$driver" public locked.key battery)" = "$(sed -n 2p locked.pub)" ] || fail "their encrypted key"
minisign -S -l -s clear.key -x legacy.minisig -t legacy -m file >out 2>&1 </dev/null
[ "$("$driver" verify clear.pub file legacy.minisig)" = legacy ] || fail "legacy signature"
base64 -d < <(sed -n 2p legacy.minisig) | head -c 2 | grep -qx Ed || fail "that was not a legacy signature"

# What both refuse.
printf x >>file
refused "$driver" verify ours.pub file theirs.minisig
refused minisign -Q -V -p ours.pub -x theirs.minisig -m file
truncate -s -1 file
sed 's/^trusted comment: .*/&x/' theirs.minisig >comment.minisig
refused "$driver" verify ours.pub file comment.minisig
grep -q 'trusted comment was altered' out || fail "altered comment: $(cat out)"
refused minisign -Q -V -p ours.pub -x comment.minisig -m file
refused "$driver" verify clear.pub file theirs.minisig
grep -q 'another key' out || fail "wrong key: $(cat out)"
sed 's/^untrusted comment: .*/untrusted comment: anything/' theirs.minisig >free.minisig
"$driver" verify ours.pub file free.minisig >out || fail "the untrusted comment is free"

# No secret key is ever overwritten.
refused "$driver" keygen ours.key other.pub
minisign -R -s ours.key -p unchanged.pub >out 2>&1 </dev/null
cmp ours.pub unchanged.pub || fail "the secret key was overwritten"
echo "minisign: compatible both ways"
