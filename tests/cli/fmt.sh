#!/bin/bash
# `proviso fmt`: what it prints, shows and writes, exits, and what it never touches.
. "$(dirname "$0")/lib.sh"

printf 'role   a=everyone;   # why\r\nset s={"b",};\n' >loose.policy
printf 'role a = everyone;  # why\nset s = { "b" };\n' >form.policy
printf 'policy p version 1;\nallow everyone to any when (;\n' >wrong.policy
cp form.policy good.policy
same() {
  checks=$((checks + 1))
  cmp -s "$1" "$2" || { fail "$1 is not $2"; diff "$1" "$2" | sed 's/^/  /'; }
}

# Printing, from a file, from standard input, of several.
run 0 "$proviso" fmt loose.policy
same out form.policy
checks=$((checks + 1))
"$proviso" fmt - <loose.policy >out 2>err || fail "standard input"
same out form.policy
run 0 "$proviso" fmt loose.policy good.policy
cat form.policy form.policy >both
same out both
: >empty.policy
run 0 "$proviso" fmt empty.policy
[ ! -s out ] || fail "nothing has a form"

# --check: a diff that patch understands, exit 1; nothing where all is well.
run 0 "$proviso" fmt --check good.policy
[ ! -s out ] || fail "a file in form has a diff"
run 1 "$proviso" fmt --check good.policy loose.policy
says out "--- loose.policy"
says out "+set s = { \"b\" };"
cp loose.policy patched.policy
checks=$((checks + 1))
patch --binary -s patched.policy out || fail "the diff does not apply"
same patched.policy form.policy
printf 'role a = everyone;' >unended.policy
run 1 "$proviso" fmt --check unended.policy
says out '\ No newline at end of file'

# Longer ones, compared with what patch makes of the diff.
for seed in 1 2 3 4 5 6; do
  awk -v seed="$seed" 'BEGIN {
    srand(seed)
    for (i = 0; i < 300; i++) {
      if (rand() < 0.1) print ""
      if (rand() < 0.1) print (rand() < 0.5 ? "   " : "") "# a comment"
      printf rand() < 0.8 ? "role r%d = everyone;\n" : "role  r%d=\n\n  user \"x\"\n;\n", i
    }
  }' >long.policy
  "$proviso" fmt long.policy >want
  run 1 "$proviso" fmt --check long.policy
  cp long.policy patched.policy
  checks=$((checks + 1))
  patch -s patched.policy out || fail "the diff of seed $seed does not apply"
  same patched.policy want
done

# --write: whole, with the mode kept and through symbolic links; untouched where nothing changes.
chmod 640 loose.policy
ln -s loose.policy link.policy
touch -d '2020-01-01' good.policy
run 0 "$proviso" fmt --write link.policy good.policy
[ ! -s out ] || fail "--write prints"
same loose.policy form.policy
[ -L link.policy ] || fail "the link is gone"
[ "$(stat -c %a loose.policy)" = 640 ] || fail "the mode is not kept"
[ "$(stat -c %y good.policy | cut -c 1-4)" = 2020 ] || fail "a file in form was written"
run 0 "$proviso" fmt --check loose.policy

# Errors: told, exit 1, the file as it was, the others done.
cp wrong.policy wrong.before
printf 'role  a=everyone;\n' >loose2.policy
run 1 "$proviso" fmt --write wrong.policy loose2.policy
says err "wrong.policy:2:"
same wrong.policy wrong.before
run 0 "$proviso" fmt --check loose2.policy
run 1 "$proviso" fmt wrong.policy
[ ! -s out ] || fail "text with errors has a form"
printf 'role a = everyone; # \xff\n' >bytes.policy
run 1 "$proviso" fmt --check bytes.policy
says err "not UTF-8"

# Directories; imports and names need not be there.
mkdir -p dir/below
printf 'import "nowhere.policy";\nallow   nobody to nothing;\n' >dir/below/a.policy
cp form.policy dir/b.policy
run 1 "$proviso" fmt --check dir
says out "dir/below/a.policy"
run 0 "$proviso" fmt --write dir
run 0 "$proviso" fmt --check dir

# Usage, input and output.
run 2 "$proviso" fmt
run 2 "$proviso" fmt --check --write good.policy
run 2 "$proviso" fmt --write -
run 2 "$proviso" fmt none.policy
run 2 "$proviso" fmt --format xml good.policy
if [ "$(id -u)" != 0 ]; then
  mkdir closed && printf 'role  a=everyone;\n' >closed/a.policy && chmod 555 closed
  run 2 "$proviso" fmt --write closed/a.policy
  chmod 755 closed
fi

# JSON.
printf 'role  a=everyone;\n' >loose.policy
run 0 "$proviso" fmt --json loose.policy good.policy
holds '.schema == "proviso/fmt/1" and .changed == 1 and .errors == 0'
holds '.files[0].changed and (.files[0].text == "role a = everyone;\n") and (.files[1].changed | not)'
run 1 "$proviso" fmt --check --format json loose.policy wrong.policy
holds '(.files[0].diff | startswith("--- loose.policy")) and .files[1].changed == null and .errors == 1'
holds '.files[1].diagnostics[0].severity == "error"'
run 0 "$proviso" fmt --write --json loose.policy good.policy
holds '.files[0].written and (.files[1].written | not)'
finish
