#!/bin/bash
# `proviso check`: exits, formats, directories, where imports are found.
. "$(dirname "$0")/lib.sh"

cat >good.policy <<'P'
policy good version 1 zone "UTC";
import "std/apt.policy";
@id("base") allow user "alice" to list;
P
cat >warned.policy <<'P'
policy warned version 1 zone "UTC";
import "std/apt.policy";
set unused = { "a" };
@id("base") allow user "alice" to list;
P
cat >wrong.policy <<'P'
policy wrong version 1 zone "UTC";
import "std/apt.policy";
allow nobody to list;
allow user "alice" to lst;
P

run 0 "$proviso" check good.policy
[ ! -s out ] || fail "a clean policy has output"
run 0 "$proviso" check warned.policy
says out "warned.policy:3:5: warning["
run 1 "$proviso" check --warnings-as-errors warned.policy
run 1 "$proviso" check wrong.policy
says out "wrong.policy:3:7: error["
says out "wrong.policy:4:"
run 1 "$proviso" check good.policy wrong.policy
run 2 "$proviso" check absent.policy
says out "absent.policy"
run 2 "$proviso" check good.policy absent.policy
run 2 "$proviso" check --format yaml good.policy

run 0 "$proviso" check --json good.policy
holds '.schema == "proviso/check/1" and .errors == 0 and .warnings == 0 and .files == [{file: "good.policy", diagnostics: []}]'
run 1 "$proviso" check --format json wrong.policy warned.policy
holds '.errors == 2 and .warnings == 1 and (.files | length) == 2'
holds '.files[0].diagnostics[0] | (.code | test("^PV[0-9]+$")) and .severity == "error" and .file == "wrong.policy" and .line == 3 and .column == 7 and .end_line == 3 and .end_column == 13 and (.text | length) > 0 and has("hint") and (.related | type) == "array" and (.fixes | type) == "array"'
run 1 "$proviso" check --json --warnings-as-errors warned.policy
holds '.errors == 0 and .warnings == 1'

run 1 "$proviso" check --format sarif wrong.policy warned.policy
holds '.version == "2.1.0" and (.runs | length) == 1 and .runs[0].tool.driver.name == "proviso" and .runs[0].columnKind == "unicodeCodePoints"'
holds '.runs[0] as $run | ($run.results | length) == 3 and all($run.results[]; .ruleId as $id | any($run.tool.driver.rules[]; .id == $id))'
holds '.runs[0].results[0] | .level == "error" and (.message.text | length) > 0 and .locations[0].physicalLocation == {artifactLocation: {uri: "wrong.policy"}, region: {startLine: 3, startColumn: 7, endLine: 3, endColumn: 13}}'

# A directory stands for what is below it, in order.
mkdir -p tree/b tree/a
cp good.policy tree/b/two.policy
cp good.policy tree/a/one.policy
echo "no policy" >tree/notes.txt
run 0 "$proviso" check --json tree
holds '[.files[].file] == ["tree/a/one.policy", "tree/b/two.policy"]'
cp wrong.policy tree/b/
run 1 "$proviso" check tree
mkdir empty
run 2 "$proviso" check empty
says err "no .policy file"

# The library: as given, else of the environment.
mkdir -p lib/mine
echo 'command hello { run "/bin/hello"; }' >lib/mine/hello.policy
printf 'policy l version 1 zone "UTC";\nimport "mine/hello.policy";\nallow everyone to hello;\n' >uses.policy
run 1 "$proviso" check uses.policy
run 0 "$proviso" check --library lib uses.policy
run 0 env PROVISO_LIBRARY="/nowhere:$tmp/lib" "$proviso" check uses.policy
run 1 "$proviso" check --library lib good.policy # --library replaces
run 0 "$proviso" check --library lib --library "$PV_ROOT/policies" good.policy uses.policy
run 0 env -u PROVISO_LIBRARY "$proviso" check good.policy

# Hostile text.
: >empty.policy
run 0 "$proviso" check empty.policy
printf 'policy p version 1;\0deny everyone to any;\n' >nul.policy
run 1 "$proviso" check nul.policy
printf 'policy p\xff version 1;\n' >latin.policy
run 1 "$proviso" check latin.policy
{ printf 'policy p version 1 zone "UTC";\nrole r = '; head -c 100000 /dev/zero | tr '\0' '('; echo ';'; } >deep.policy
run 1 "$proviso" check deep.policy
printf 'set "\033[31m' >control.policy
run 1 "$proviso" check control.policy
if grep -q "$(printf '\033')" out; then fail "an escape sequence reaches the terminal"; fi
finish

# The slips of those who come from elsewhere: one message each, which says how it is written.
slip() { # TEXT HINT
  printf 'policy slip version 1 zone "UTC";\nimport "std/apt.policy";\n%s\n' "$1" >slip.policy
  run 1 "$proviso" check slip.policy
  says out "hint: $2"
  [ "$(grep -c 'error\[' out)" = 1 ] || fail "not one message: $1"
}
slip 'allow %students to list;' 'a group is written `group "name"`'
slip 'allow students to list;' 'a role is declared; others are written `group "students"` or `user "students"`'
slip 'allow ALL to list;' 'all people are `everyone`'
slip 'allow everyone to info vim;' 'a set is declared; a name itself stands in quotes: "vim"'
slip 'source main { type apt; location "deb https://a.example/d x y"; key "/k"; } allow user "a" to upgrade from sight;' 'declared: `main`'
slip 'require timeout 10 for everyone to list;' '10s (seconds), 10m, 10h or 10d'
slip 'command restart { run "systemctl restart"; }' 'no shell reads it: each word is a string of its own'
slip '@id("own") allow everyone to uninstall own; test "t" { user "a"; time "2026-11-21T10:00:00Z"; expect allow uninstall "x" by own; }' 'in quotes it can: "own"'
