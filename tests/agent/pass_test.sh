#!/bin/bash
# selfserve-pass with a real set-gid bit, called by real unprivileged ids: what it signs, and everything that it refuses.
#   pass_test.sh SELFSERVE_PASS
set -euo pipefail
program=$1
[ "$(id -u)" -eq 0 ] || { echo "needs root"; exit 77; }
dir=$(mktemp -d /tmp/passtest.XXXXXX)
trap 'rm -rf "$dir"' EXIT
chmod 0755 "$dir"
if findmnt -no OPTIONS -T "$dir" 2>/dev/null | grep -qw nosuid; then echo "/tmp is nosuid"; exit 77; fi
gid=61234 uid=61001
mkdir "$dir/libexec" "$dir/etc"
pass=$dir/libexec/selfserve-pass key=$dir/etc/client.key
install -m 0755 "$program" "$pass"
chgrp $gid "$pass"
chmod 2755 "$pass"
head -c 32 /dev/urandom >"$key"
chgrp $gid "$key"
chmod 0640 "$key"

# input LEN BYTES: a challenge, a length and bytes as the program wants them
input() {
    /usr/bin/python3 -c 'import sys, struct
sys.stdout.buffer.write(bytes(range(32)) + struct.pack("<I", int(sys.argv[1])) + b"r" * int(sys.argv[2]))' "$1" "$2"
}
as() { setpriv --reuid="$uid" --regid="$uid" --clear-groups "$@"; }
failed=0
# expect STATUS WHAT: runs "$run" with the input made before; nothing may be on standard output unless it succeeds
expect() {
    local status=0
    as "$pass" <"$dir/in" >"$dir/out" 2>"$dir/err" || status=$?
    [ "$status" -eq "$1" ] || { echo "FAILED: $2: status $status, not $1: $(cat "$dir/err")"; failed=1; }
    if [ "$1" -ne 0 ] && [ -s "$dir/out" ]; then echo "FAILED: $2: there is output"; failed=1; fi
}

input 100 100 >"$dir/in"
expect 0 "a request"
/usr/bin/python3 - "$key" "$dir/out" $uid <<'PY' || failed=1
import hashlib, hmac, struct, sys
want = hmac.new(open(sys.argv[1], "rb").read(), bytes(range(32)) + struct.pack("<I", int(sys.argv[3])) + b"r" * 100, hashlib.sha512)
if open(sys.argv[2], "rb").read() != want.digest():
    sys.exit("FAILED: the passcode is not HMAC-SHA-512 over challenge, real uid and request")
PY
cp "$dir/out" "$dir/first"
uid=61002
expect 0 "the same request of another uid"
cmp -s "$dir/out" "$dir/first" && { echo "FAILED: two users get the same passcode"; failed=1; }
input 60000 60000 >"$dir/in" && expect 0 "the longest request"

input 60001 60001 >"$dir/in" && expect 2 "a longer one"
input 4294967295 10 >"$dir/in" && expect 2 "a length that lies"
input 0 0 >"$dir/in" && expect 2 "an empty one"
input 10 9 >"$dir/in" && expect 2 "less than the length says"
input 10 11 >"$dir/in" && expect 2 "more than the length says"
: >"$dir/in" && expect 2 "nothing"
input 10 10 | head -c 33 >"$dir/in" && expect 2 "half a length"

input 10 10 >"$dir/in"
status=0
as "$pass" an-argument <"$dir/in" >/dev/null 2>&1 || status=$?
[ "$status" -eq 2 ] || { echo "FAILED: takes an argument"; failed=1; }

# The environment changes nothing, and a debugger, a core or a look into its memory are out of reach.
as env LD_PRELOAD=/nonexistent.so MALLOC_TRACE="$dir/trace" TMPDIR="$dir" "$pass" <"$dir/in" >"$dir/out" 2>"$dir/err" ||
    { echo "FAILED: with an environment: $(cat "$dir/err")"; failed=1; }
[ -s "$dir/err" ] && { echo "FAILED: the environment reached it: $(cat "$dir/err")"; failed=1; }
mkfifo "$dir/fifo"
chmod 0666 "$dir/fifo"
setpriv --reuid=$uid --regid=$uid --clear-groups "$pass" <"$dir/fifo" >/dev/null 2>&1 &
exec 7>"$dir/fifo"
for _ in $(seq 100); do grep -q "^Groups" "/proc/$!/status" && [ "$(awk '/^Gid:/ { print $3 }' "/proc/$!/status")" = $uid ] && break; sleep 0.05; done
[ "$(awk '/^Gid:/ { print $2 $3 $4 $5 }' "/proc/$!/status")" = $uid$uid$uid$uid ] ||
    { echo "FAILED: it keeps the key's group while it waits for input"; failed=1; }
[ "$(stat -c %u "/proc/$!/mem")" = 0 ] || { echo "FAILED: it is dumpable"; failed=1; }
if as cat "/proc/$!/environ" >/dev/null 2>&1; then echo "FAILED: its user can look into it"; failed=1; fi
exec 7>&-
wait || true

# A key that somebody else could have written, or that others can read.
chmod 0660 "$key" && expect 3 "a key that its group can write"
chmod 0644 "$key" && expect 3 "a key that everybody can read"
chmod 0640 "$key" && chown $uid "$key" && expect 3 "a key of the user's"
chown 0 "$key" && chmod 0775 "$dir/etc" && expect 3 "a directory that its group can write"
chmod 0755 "$dir/etc" && chown $uid "$dir/etc" && expect 3 "a directory of the user's"
chown 0 "$dir/etc"
mv "$key" "$dir/elsewhere" && ln -s "$dir/elsewhere" "$key" && expect 3 "a symbolic link instead of the key"
rm "$key" && mkfifo -m 0640 "$key" && chgrp $gid "$key" && expect 3 "a pipe instead of the key"
rm "$key" && expect 3 "no key"
mv "$dir/elsewhere" "$key" && mv "$dir/etc" "$dir/etc2" && ln -s "$dir/etc2" "$dir/etc" && expect 3 "a symbolic link instead of the directory"
rm "$dir/etc" && mv "$dir/etc2" "$dir/etc"
head -c 31 "$key" >"$dir/etc/short" && cat "$dir/etc/short" >"$key" && expect 3 "a short key"
head -c 33 /dev/urandom >"$key" && expect 3 "a long key"
head -c 32 /dev/urandom >"$key" && expect 0 "a good key again"
chgrp 61235 "$key" && expect 3 "a key of another group"
chgrp $gid "$key"

# Where set-gid has no effect.
status=0
as setpriv --no-new-privs "$pass" <"$dir/in" >"$dir/out" 2>/dev/null || status=$?
[ "$status" -eq 4 ] || { echo "FAILED: no_new_privs: status $status, not 4"; failed=1; }
chmod 0755 "$pass" && expect 4 "without the set-gid bit"
[ "$failed" -eq 0 ] && echo "selfserve-pass: all as it should be"
exit $failed
