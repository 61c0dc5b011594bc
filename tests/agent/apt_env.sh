# shellcheck shell=bash
# What the apt tests share: the sample repositories, an alternate root, a set directory, and short commands for them.
# Sourced by them; needs PV_BUILD.
set -eu
. "$(dirname "${BASH_SOURCE[0]}")/../lib/repo.sh"
[ "$(id -u)" = 0 ] || { echo "needs root" && exit 77; }
tool=$PV_BUILD/tests/apt_tool
work=$(mktemp -d /tmp/pv-apt.XXXXXX)
trap repo_end EXIT
repo_begin "$work"
root=$work/root run=$work/run set=$work/set hook=$work/bin/proviso-hook
mkdir -m 0755 "$work/bin"
mkdir -m 0700 "$run"
cp "$PV_BUILD"/libexec/proviso-{planner,hook,resolver} "$work/bin/"
# The planner as the unprivileged account that it is made for.
printf '#!/bin/sh\nexec setpriv --reuid=nobody --regid=nogroup --clear-groups %s/bin/proviso-planner\n' "$work" >"$work/bin/planner"
chmod 0755 "$work"/bin/*
checks=0

fail() {
    echo "FAIL: $*" >&2
    [ ! -s "$work/answer" ] || sed 's/^/    /' "$work/answer" >&2
    exit 1
}

internal="deb [signed-by=$REPO_KEY] file:$work/repos/internal stable main"
vendor="deb [signed-by=$REPO_KEY] file:$work/repos/vendor stable main"
plan_verb_install=1 plan_verb_upgrade=2 plan_verb_uninstall=3 plan_verb_reinstall=4

# use SOURCE-OPTION...: writes the set directory and refreshes it
use() {
    "$tool" config "$set" "$root" "$hook" "$@" >"$work/answer" || fail "the set directory is refused"
    "$tool" run refresh "$set" "$root" "$run" - >"$work/answer" 2>&1 || fail "apt-get update fails"
}

# ask KIND VERB FLAGS OPTION...: the planner's answer is in $work/answer
ask() {
    "$tool" ask "$work/bin/planner" "$set" "$root" "$@" >"$work/answer" 2>"$work/planner.err" || true
    [ ! -s "$work/planner.err" ] || fail "the planner wrote to standard error: $(cat "$work/planner.err")"
}

# answers LINE...: the whole answer is these lines
answers() {
    checks=$((checks + 1))
    printf '%s\n' "$@" | cmp -s - "$work/answer" || fail "expected instead: $(printf '\n    %s' "$@")"
}

# fails CODE SUBJECT [TEXT]: the answer is this error, with TEXT in it
fails() {
    checks=$((checks + 1))
    head -n 1 "$work/answer" | grep -q -- "^error $1 \[$2\] " || fail "expected error $1 [$2]"
    [ $# -lt 3 ] || grep -qF -- "$3" "$work/answer" || fail "the error does not say: $3"
}
