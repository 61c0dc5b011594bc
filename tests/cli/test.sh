#!/bin/bash
# `proviso test`: what passes, what fails and why, in each format.
. "$(dirname "$0")/lib.sh"

cat >p.policy <<'P'
policy p version 1 zone "Europe/Paris";
import "std/apt.policy";
role netops = group "netops";
source internal { type apt; location "deb https://a x main"; key "/etc/a.gpg"; self_service; }
window nightly = mon..fri 22:00..04:00;
command greet { argument who: string in { "you", "me" }; run "/bin/echo" "--" argument.who; }
direct user "root";
@id("base") allow everyone to install from self_service when transaction.installs < 5;
@id("rm") allow everyone to uninstall own;
allow everyone to optimize when host.name == "here";
@id("hello") allow everyone to greet when argument.who == "you";
@id("no-nmap") deny everyone to install "nmap" unless user in netops because "ask NetOps";
require reason for everyone to uninstall;
require approval by netops for everyone to install "docker";
require timeout 10m for everyone to install;
require window nightly for everyone to install "linux";
require notice "careful" for everyone to install "docker";
require account "worker" for everyone to greet;
P
cat >good_test.policy <<'P'
import "p.policy";
test "staff" {
    user "alice" in "staff";
    time "2026-11-21T10:00:00Z";
    given package.owner = "alice";
    expect allow install "vlc" from internal by base requiring timeout 10m;
    expect allow install "vlc", "docker" from internal by base requiring approval by netops;
    expect deny install "vlc", "nmap" from internal by no-nmap because "ask NetOps";
    expect allow install "docker" from internal requiring notice "careful";
    expect allow install "linux" from internal requiring window nightly;
    expect deny install "vlc" from internal with transaction.installs = 5;
    expect allow uninstall "vlc" requiring reason;
    expect deny uninstall "vlc" with package.owner = "root";
    expect allow greet by hello requiring account "worker" with argument.who = "you";
}
test "root # and more" { user "root"; time "2026-11-21T10:00:00Z"; expect direct install "nmap" from internal; expect direct install "nmap", "vlc" from internal; }
P
sed -i 's/ by hello requiring account "worker" with argument.who = "you"/ with argument.who = "you" by hello requiring account "worker"/' good_test.policy
run 0 "$proviso" test good_test.policy
says out "2 passed, 0 failed"
run 0 "$proviso" test --json good_test.policy
holds '.schema == "proviso/test/1" and .passed == 2 and .failed == 0 and (.files | length) == 1 and .files[0].file == "good_test.policy" and [.files[0].tests[].name] == ["staff", "root # and more"] and all(.files[0].tests[]; .passed and .failures == []) and .files[0].tests[0].line == 2'
run 0 "$proviso" test --format tap good_test.policy
says out "TAP version 13"
says out "ok 1 - good_test.policy: staff"
says out 'ok 2 - good_test.policy: root \# and more'
says out "1..2"

# Each way to be wrong is told at its line.
cat >bad_test.policy <<'P'
import "p.policy";
test "effect" { user "alice"; time "2026-11-21T10:00:00Z"; expect deny install "vlc" from internal; }
test "rule" { user "alice"; time "2026-11-21T10:00:00Z"; expect allow install "vlc" from internal by no-nmap; }
test "duty" { user "alice"; time "2026-11-21T10:00:00Z"; expect allow install "vlc" from internal requiring reason; }
test "seconds" { user "alice"; time "2026-11-21T10:00:00Z"; expect allow install "vlc" from internal requiring timeout 11m; }
test "text" { user "alice"; time "2026-11-21T10:00:00Z"; expect deny install "nmap" from internal because "no"; }
test "missing" { user "alice"; time "2026-11-21T10:00:00Z"; expect allow optimize; }
test "several" { user "alice"; time "2026-11-21T10:00:00Z"; expect allow install "vlc", "nmap" from internal; }
test "good" { user "alice"; time "2026-11-21T10:00:00Z"; expect allow install "vlc" from internal; }
P
run 1 "$proviso" test bad_test.policy
says out 'bad_test.policy:2: test "effect": expected deny, decided allow by base'
says out 'bad_test.policy:3: test "rule": expected allow by no-nmap, decided by base'
says out 'bad_test.policy:4: test "duty": the decision does not require reason'
says out 'bad_test.policy:5: test "seconds": the decision does not require timeout 660s'
says out 'bad_test.policy:6: test "text": the decision does not say "no"'
says out 'bad_test.policy:7: test "missing": '
says out 'host.name'
says out 'bad_test.policy:8: test "several": expected allow, decided deny by no-nmap'
says out '1 passed, 7 failed'
run 1 "$proviso" test --format json bad_test.policy
holds '.passed == 1 and .failed == 7 and (.files[0].tests[0] | (.passed | not) and .failures[0].line == 2 and (.failures[0].text | startswith("expected deny")))'
run 1 "$proviso" test --format tap bad_test.policy
says out "not ok 1 - bad_test.policy: effect"
says out "# line 2: expected deny"
says out "ok 8 - bad_test.policy: good"
says out "1..8"

run 1 "$proviso" test --format junit bad_test.policy good_test.policy
says out '<testsuites name="proviso" tests="10" failures="7">'
says out '<testsuite name="bad_test.policy" tests="8" failures="7" errors="0">'
says out '<testcase name="good" classname="bad_test.policy" line="9"/>'
says out 'message="line 6: the decision does not say &quot;no&quot;"'
if command -v xmllint >/dev/null; then run 0 xmllint --noout out; fi

# Imported tests run when their own file is named; directories; nothing to run; errors.
printf 'import "p.policy";\nimport "good_test.policy";\n' >outer_test.policy
run 2 "$proviso" test outer_test.policy
says err "no test found"
run 2 "$proviso" test p.policy
[ ! -s out ] || fail "no test has output"
mkdir tree
cp p.policy good_test.policy tree/
run 0 "$proviso" test tree
says out "2 passed, 0 failed"
cp bad_test.policy tree/
run 1 "$proviso" test tree
says out "3 passed, 7 failed"
run 2 "$proviso" test absent.policy
printf 'import "p.policy";\ntest "t" { user "a"; expect allow list; }\n' >wrong_test.policy
run 1 "$proviso" test wrong_test.policy
says err "wrong_test.policy:2:"
run 1 "$proviso" test good_test.policy wrong_test.policy
says out "2 passed, 0 failed, 1 file with errors"
run 1 "$proviso" test --json wrong_test.policy good_test.policy
holds '.passed == 2 and .failed == 0 and (.files[0] | .tests == [] and .diagnostics[0].line == 2) and .files[1].diagnostics == []'
run 1 "$proviso" test --format tap wrong_test.policy good_test.policy
says out "not ok 1 - wrong_test.policy: it has errors"
says out "1..3"
run 1 "$proviso" test --format junit wrong_test.policy
says out '<testsuite name="wrong_test.policy" tests="1" failures="0" errors="1">'
says out '<error type="PV'
run 2 "$proviso" test --format xml good_test.policy
run 0 "$proviso" test "$PV_ROOT/policies"
finish
