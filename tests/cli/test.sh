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

# ---- The explanation beside a failure ----
run 1 "$proviso" test bad_test.policy
says out '    allow: install vlc from internal'
says out '             true    transaction.installs < 5: transaction.installs is 1'
says out '    deny: install nmap from internal'
says out '    allow: install vlc from internal' # the other operation of the same request
run 1 "$proviso" test --format json bad_test.policy
holds '.files[0].tests[0].failures[0].explanations[0] | .decision == "allow" and .command == "install" and .package == "vlc" and .source == "internal" and .explanation.schema == "proviso/explanation/1" and (.explanation | has("changes") | not) and .explanation.matching[0].id == "base"'
holds '[.files[0].tests[6].failures[0].explanations[] | [.decision, .package]] == [["allow", "vlc"], ["deny", "nmap"]]'
holds '.files[0].tests[6].failures[0].explanations[1].explanation.changes.found[0].set[0].added == ["netops"]'
holds '.files[0].tests[5].failures[0] | has("explanations") | not'
run 1 "$proviso" test --format tap bad_test.policy
says out '#   allow: install vlc from internal'
awk '!/^(#|ok|not ok|TAP version 13|1\.\.)/ { bad = 1 } END { exit bad }' out || fail "not TAP"
run 1 "$proviso" test --format junit bad_test.policy
says out 'transaction.installs &lt; 5: transaction.installs is 1'
python3 -c 'import sys, xml.etree.ElementTree as e; t = e.parse("out"); assert len(t.findall(".//failure")) == 7 and "decided" not in t.find(".//failure").text and "install vlc" in t.find(".//failure").text' || fail "junit"
printf 'import "p.policy";\ntest "<\\u{FFFF}&\\u{1}>" { user "a"; time "2026-11-21T10:00:00Z"; expect deny list; expect allow list; }\n' >odd_test.policy
sed -i 's/allow list/allow install "\\u{FFFE}<b>\&amp;" from internal with transaction.installs = 9/' odd_test.policy
sed -i 's/expect deny list/expect deny install "x" from internal with transaction.installs = 9/' odd_test.policy
run 1 "$proviso" test --format junit odd_test.policy
python3 -c 'import xml.etree.ElementTree as e; e.parse("out")' || fail "junit of odd text"

# ---- Coverage ----
cat >c.policy <<'P'
policy c version 1 zone "UTC";
import "std/apt.policy";
source internal { type apt; location "deb https://a x main"; key "/etc/a.gpg"; self_service; }
source vendor { type apt; location "deb https://b x main"; key "/etc/b.gpg"; }
condition small = transaction.download_size < 500MB and transaction.removes == 0;
condition calm = small;
direct user "root";
@id("base") allow everyone to install from self_service when calm or "ops" in user.groups;
@id("list") allow everyone to list;
@id("dev") allow group "dev" to install
    from vendor   # the other one
    unless package.name == "a" or package.name == "b" or
           package.name == "c" or package.name == "d"
    when has request.reason and request.reason == "yes";
@id("no") deny everyone to install "nmap" because "no";
P
cat >c_test.policy <<'P'
import "c.policy";
test "one" {
    user "alice" in "dev"; time "2026-11-21T10:00:00Z";
    expect allow install "vlc" from internal;
    expect deny install "vlc" from internal with transaction.download_size = 600MB;
    expect deny install "b" from vendor;
    expect deny install "x" from vendor;
    expect deny install "x" from vendor with request.reason = "no";
    expect deny install "vlc", "nmap" from internal;
}
test "root" { user "root"; time "2026-11-21T10:00:00Z"; expect direct install "nmap" from internal; expect direct install "nmap", "vlc" from internal; }
P
run 0 "$proviso" test --json --coverage c_test.policy
rule() { echo ".coverage.files[0].rules[] | select(.id == \"$1\")"; }
holds '.coverage.schema == "proviso/coverage/1" and (.coverage.files | length) == 1 and .coverage.files[0].file == "c.policy" and .coverage.rules == {"all": 5, "seen": 3}'
holds "$(rule base) | .line == 8 and .effect == \"allow\" and .matched == 3 and .unmatched == 4 and .decided == 1"
# From left to right: the source is looked at seven times, the condition where the source was right.
holds "$(rule base) | [.clauses[] | [.text, .constant, .true, .false]] == [[\"everyone\", true, 7, 0], [\"from self_service\", false, 4, 3], [\"when calm or \\\"ops\\\" in user.groups\", false, 3, 1]]"
holds "$(rule base) | .clauses[2].conditions == [{\"text\": \"calm\", \"line\": 8, \"column\": 62, \"true\": 3, \"false\": 1}, {\"text\": \"\\\"ops\\\" in user.groups\", \"line\": 8, \"column\": 70, \"true\": 0, \"false\": 1}]"
holds "$(rule list) | .constant and .matched == 0 and .outcomes == {\"all\": 1, \"seen\": 0}"
holds "$(rule no) | .matched == 1 and .decided == 1 and .unmatched == 6"
# Four equalities are one test in the bundle, and four conditions in the text.
holds "$(rule dev) | .clauses[2].conditions | [.[] | [.text, .line, .true, .false]] == [[\"package.name == \\\"a\\\"\", 12, 0, 3], [\"package.name == \\\"b\\\"\", 12, 1, 2], [\"package.name == \\\"c\\\"\", 13, 0, 2], [\"package.name == \\\"d\\\"\", 13, 0, 2]]"
# What `has` guards is not looked at without it.
holds "$(rule dev) | .clauses[3].conditions | [.[] | [.text, .true, .false]] == [[\"has request.reason\", 1, 1], [\"request.reason == \\\"yes\\\"\", 0, 1]]"
holds '.coverage.files[0].rules[0] | .effect == "direct" and .matched == 2 and .unmatched == 6 and .decided == 2'
holds '[.coverage.files[0].conditions[] | [.name, .line, .true, .false, (.conditions | length)]] == [["calm", 6, 3, 1, 0], ["small", 5, 3, 1, 2]]'
holds '[.coverage.files[0].conditions[1].conditions[] | [.true, .false]] == [[3, 1], [3, 0]]'
holds '[.coverage.files[].rules[].outcomes.all, .coverage.files[].conditions[].outcomes.all] | add == 49'
holds '.coverage.outcomes.seen == ([.coverage.files[].rules[].outcomes.seen, .coverage.files[].conditions[].outcomes.seen] | add)'
run 0 "$proviso" test --coverage c_test.policy
says out "coverage: 3 of 5 rules matched"
says out "  line 9: allow list: 0 of 1 outcomes, never matched"
says out '    line 14, column 5: when has request.reason and request.reason == "yes": never true'
says out '      line 14, column 33: request.reason == "yes": never true'
says out '      line 12, column 12: package.name == "a": never true'
run 0 "$proviso" test --format tap --coverage c_test.policy
says out "# coverage: 3 of 5 rules matched"
run 0 "$proviso" test --format junit --coverage c_test.policy
says err "coverage: 3 of 5 rules matched"
# Files of tests for one policy count together; a file that cannot be written is an error.
cat >c2_test.policy <<'P'
import "c.policy";
test "list" { user "alice"; time "2026-11-21T10:00:00Z"; expect allow list; expect allow install "x" from internal; }
P
run 0 "$proviso" test --coverage=c.json c_test.policy c2_test.policy
[ "$(wc -l <out)" = 1 ] || fail "coverage in a file is not in the output"
holds '.schema == "proviso/coverage/1" and (.files | length) == 1 and .rules == {"all": 5, "seen": 4}' c.json
holds '.files[0].rules[] | select(.id == "base") | .matched == 4 and .clauses[1].true == 5' c.json
run 0 "$proviso" test --coverage=c.info c_test.policy c2_test.policy
for line in TN: SF:c.policy FN:8,base FNDA:4,base FNF:5 FNH:4 BRDA:12,8,0,0 DA:9,1 DA:10,0 LF:5 LH:4 end_of_record; do
  grep -qxF "$line" c.info || fail "c.info has no $line"
done
[ "$(grep -c ^BRDA c.info)" = "$(sed -n 's/^BRF://p' c.info)" ] || fail "BRF"
[ "$(grep -Ec '^BRDA.*,[1-9][0-9]*$' c.info)" = "$(sed -n 's/^BRH://p' c.info)" ] || fail "BRH"
run 2 "$proviso" test --coverage=absent/c.json c_test.policy
finish
