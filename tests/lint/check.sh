#!/bin/bash
# Lints from the command line: when they are told, what --fix mends, what stays as it is.
. "$(dirname "$0")/../cli/lib.sh"

cat >late.policy <<'P'
policy late version 1 zone "UTC";
import "std/apt.policy";
@id("a") allow user "alice" to list until 2026-12-31;
P
run 0 "$proviso" check --now 2026-11-21 late.policy
[ ! -s out ] || fail "40 days are not soon"
run 0 "$proviso" check --now 2026-12-01 late.policy
says out "warning[PV1014]: this allow ends in 30 days"
run 1 "$proviso" check --now 2027-01-01 --warnings-as-errors late.policy
says out "warning[PV1013]"
run 2 "$proviso" check --now 2026-02-30 late.policy
run 2 "$proviso" check --now tomorrow late.policy

# Where there are errors, there are no lints.
printf 'policy p version 1 zone "UTC";\nset unused = { "a" };\nallow nobody to list;\n' >wrong.policy
run 1 "$proviso" check wrong.policy
if grep -q 'PV1' out; then fail "a lint beside errors"; fi

# A file that is checked by itself is linted once; a library that is found on the path, by itself alone.
mkdir lib
printf '@id("x") allow user "x" to y;\nallow user "x" to z;\ncommand y { run "/bin/y"; }\ncommand z { run "/bin/z"; }\n' >lib/l.policy
printf 'policy r version 1 zone "UTC";\nimport "l.policy";\nset unused = { "a" };\n' >root.policy
printf 'import "root.policy";\ntest "t" { user "u"; time "2026-11-21T10:00:00Z"; expect deny y; }\n' >root_test.policy
run 0 "$proviso" check --library lib root.policy root_test.policy
[ "$(grep -c PV1002 out)" = 1 ] || fail "an imported file's lint is not told once"
[ "$(grep -c PV1028 out)" = 0 ] || fail "a library's lint is told to who imports it"
says out "note[PV1030]"
run 0 "$proviso" check --library lib root_test.policy
says out "warning[PV1002]"
run 0 "$proviso" check lib/l.policy
says out "warning[PV1028]"

# --fix: what is certain, and nothing else; the file's mode and a link to it stay.
cat >fix.policy <<'P'
policy fix version 1 zone "UTC";     # kept: "docker*" && ||
import "std/apt.policy";

set tools = { "git", "clang-*" };
@id("a") allow user 'alice' to install, upgrade, install tools when package.installed && !package.essential
@id("b") allow user "bob" to install when package.name == "lib*";
require reason for user "bob" to install;
require reason for user "bob" to install;
@id("c") deny user "carol" to install;
P
cat >fixed.policy <<'P'
policy fix version 1 zone "UTC";     # kept: "docker*" && ||
import "std/apt.policy";

set tools = { "git", like "clang-*" };
@id("a") allow user "alice" to install, upgrade tools when package.installed and not package.essential;
@id("b") allow user "bob" to install when package.name like "lib*";
require reason for user "bob" to install;

@id("c") deny user "carol" to install;
P
chmod 640 fix.policy
ln -s fix.policy link.policy
run 1 "$proviso" check fix.policy
run 0 "$proviso" check --fix link.policy
says err "8 places mended"
diff fixed.policy fix.policy || fail "--fix wrote another text"
[ "$(stat -c %a fix.policy)" = 640 ] || fail "the mode is another"
[ -L link.policy ] || fail "the link is gone"
says out "warning[PV1012]"
cp fix.policy before
run 0 "$proviso" check --fix fix.policy
[ ! -s err ] || fail "a second --fix has something to say"
cmp -s before fix.policy || fail "--fix is not idempotent"

# What cannot be mended stays byte for byte.
printf 'policy p version 1 zone "UTC";\nallow alice2 to lst;\n' >stays.policy
cp stays.policy before
run 1 "$proviso" check --fix stays.policy
cmp -s before stays.policy || fail "a doubtful fix was applied"
run 2 "$proviso" check --fix -
run 2 "$proviso" check --fix absent.policy
[ ! -e absent.policy ] || fail "--fix made a file"

# What is shipped is clean, on the day that it was written for.
run 0 "$proviso" check --warnings-as-errors --now 2026-11-21 "$PV_ROOT/policies" "$PV_ROOT/examples"
[ ! -s out ] || { fail "a shipped policy has a warning"; cat out; }
finish
