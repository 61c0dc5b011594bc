#!/bin/bash
# The policy sees the plan: other plans are tried where one is denied, what was not asked for by name is decided as what it
# is, and what the agent itself asks for (a downgrade by name, an allow that names it) holds.
. "$(dirname "$0")/agent_env.sh"
. "$(dirname "$0")/../lib/repo.sh"
agent_begin
repo_begin "$work/repo"
repo_sample "$work/repo/repos"
root=$work/repo/root
repo_root "$root"
repo_deb "$work/repo/repos/internal" core-tool 1.0 "Essential: yes"
repo_deb "$work/repo/repos/internal" anti-core 1.0 "Conflicts: core-tool"
repo_publish "$work/repo/repos/internal"
repo_root_install "$root" "$work"/repo/repos/internal/pool/core-tool_*.deb
version=0

policy() { # RULES: a new version with these rules
    version=$((version + 1))
    cat >"$work/plan.policy" <<POLICY
policy plans "Plans" version $version zone "Etc/UTC";
import "std/apt.policy";
source internal { type apt; location "deb file:$work/repo/repos/internal stable main"; key "$REPO_KEY"; priority 2; self_service; }
source vendor { type apt; location "deb file:$work/repo/repos/vendor stable main"; key "$REPO_KEY"; priority 1; self_service; }
sources both = internal or vendor;
$1
POLICY
    agent_policy "$work/plan.policy"
    [ -z "$agent_pid" ] || agent_reload
}

installed() { # NAME VERSION: or absent
    local got
    checks=$((checks + 1))
    got=$(repo_root_version "$root" "$1" 2>/dev/null) || got=absent
    [ "$got" = "$2" ] || fail "$1 is $got, not $2"
}

everyone='@id("all") allow everyone to install, upgrade, uninstall;'

# Without a rule against it, the source that goes first wins; with one, the plan is made again without that source.
policy "$everyone
@id(\"not-vendor\") deny everyone to install \"vlc\" from vendor;
@id(\"no-skins\") deny everyone to install \"vlc-skins\";"
agent_start --refresh 0 || fail "the agent does not start"
self "$alice" install vlc
expect_status 0
installed vlc 3.0.18-2
# And without what is only recommended, where that is what is denied.
installed vlc-skins absent
self "$alice" uninstall vlc
expect_status 0
installed vlc absent
installed libvlc5 3.0.18-2

# A source chosen by name brings what was named; others still bring what that needs, where the policy lets them.
policy "$everyone"
self "$alice" install vlc --source internal
expect_status 0
installed vlc 3.0.18-2
self "$alice" install codec-tool --source internal
expect_status 0
installed codec-pack 9.0
self "$alice" uninstall codec-tool codec-pack
expect_status 0

# What is there as a dependency and is then asked for by name stays for its own sake; it is not owned.
marks() { grep -A3 "^Package: $1\$" "$root/var/lib/apt/extended_states" 2>/dev/null | grep -c "Auto-Installed: 1" || true; }
[ "$(marks libvlc5)" = 1 ] || fail "the dependency is not marked automatic"
self "$alice" install libvlc5 --source internal
expect_status 0
[ "$(marks libvlc5)" = 0 ] || fail "what was asked for is still marked automatic"
[ -z "$(sql "SELECT user FROM ownership WHERE name = 'libvlc5'")" ] || fail "what was there already is owned"

# A dependency from a source that is open to dependencies only; the same package by name is not to be had from there.
policy '@id("with-deps") allow everyone to install "codec-tool" with dependencies from both;
@id("own") allow everyone to uninstall;'
self "$alice" install codec-tool
expect_status 0
installed codec-pack 9.0
self "$alice" uninstall codec-tool codec-pack
self "$alice" install codec-pack
[ "$status" != 0 ] || fail "a dependency was installed by name"
installed codec-pack absent

# A dependency that is denied denies the request, and is named.
policy "$everyone
@id(\"no-pack\") deny everyone to install \"codec-pack\" because \"The pack is not licensed.\";"
self "$alice" install codec-tool
expect_status 77
expect_text "codec-pack"
expect_text "The pack is not licensed."
installed codec-tool absent

# Versions: exact, and a downgrade only by an allow that names the package.
policy "$everyone"
self "$alice" install vlc
expect_status 0
installed vlc 3.0.21-9
self "$alice" install vlc --version 3.0.18-2
expect_status 77
expect_text "downgrade"
installed vlc 3.0.21-9
policy "$everyone
@id(\"named\") allow everyone to upgrade \"vlc\" when package.downgrade;"
self "$alice" install vlc --version 3.0.18-2
expect_status 0
installed vlc 3.0.18-2
self "$alice" install vlc --version 9.9
[ "$status" != 0 ] || fail "a version that is nowhere was installed"
self "$alice" install vlc --version '3.0*'
expect_status 64
installed vlc 3.0.18-2

# An essential package does not go because something else wants it gone, nor by name without an allow that names it.
self "$alice" install anti-core
[ "$status" != 0 ] || fail "an essential package was removed by a conflict"
installed core-tool 1.0
self "$alice" uninstall core-tool
[ "$status" != 0 ] || fail "an essential package was removed"
installed core-tool 1.0

# Names that apt reads as something else.
for name in vlc- vlc+ 'vlc=3*' vlc/stable vlc:amd64 '^vlc' '?name(vlc)' '~nvlc' 'tool^' ./x.deb /tmp/x.deb -y --force VLC v ''; do
    self "$alice" install -- "$name"
    checks=$((checks + 1))
    [ "$status" != 0 ] || fail "$name was taken for a package"
done
installed vlc 3.0.18-2

# A transaction's size is the policy's business, and so is every part of it.
policy '@id("small") allow everyone to install when transaction.installs < 2 and transaction.removes == 0;'
self "$bob" install gimp
expect_status 77
installed gimp absent
self "$bob" install nmap
expect_status 0
installed nmap 7.93-1

# No source is left: exactly this sentence.
policy '@id("nothing") allow everyone to install from vendor and internal;'
self "$bob" install gimp
expect_text "There are no sources enabled for packages and none were passed as arguments."
expect_status 77

# Somebody removes a package outside the agent: whose it was is over.
policy "@id(\"in\") allow everyone to install, upgrade; @id(\"own\") allow everyone to uninstall own;"
self "$alice" install motd-banner
expect_status 0
dpkg --root="$root" --remove motd-banner >/dev/null 2>&1
self "$bob" install motd-banner
expect_status 0
self "$alice" uninstall motd-banner
expect_status 77
self "$bob" uninstall motd-banner
expect_status 0

# The account is deleted and its uid given to somebody else, who does not own what the other had.
self "$bob" install motd-banner
expect_status 0
uid=$(id -u "$bob")
userdel "$bob"
useradd --no-create-home --uid "$uid" --shell /bin/bash "$bob-2"
trap 'userdel --force "$bob-2" 2>/dev/null || true; agent_end' EXIT
self "$bob-2" uninstall motd-banner
expect_status 77
installed motd-banner 1.2
userdel "$bob-2"

# Settings of the host are carried over where the operator names them.
agent_stop
[ "$agent_status" = 0 ] || fail "the agent ended with $agent_status"
! agent_start --refresh 0 --apt-option APT::Get::AllowUnauthenticated=true || fail "a setting that weakens apt was taken"
! agent_start --refresh 0 --apt-option Acquire::Retries || fail "a setting without a value was taken"
agent_start --refresh 0 --apt-option Acquire::http::Proxy=http://127.0.0.1:9/ ||
    fail "the agent does not start with a setting of the host"
self "$alice" install motd-banner
expect_status 0
grep -lq 'Acquire::http::Proxy "http://127.0.0.1:9/";' "$work"/state/apt/*/apt.conf || fail "the proxy is not in apt's configuration"

agent_stop
[ "$agent_status" = 0 ] || fail "the agent ended with $agent_status"
audit verify --state "$work/state" >"$work/out" 2>&1 || fail "the ledger does not verify"
[ "$(sql 'SELECT count(*) FROM unfinished')" = 0 ] || fail "requests are left unfinished"
[ -z "$(ls "$work/state/runs")" ] || fail "run directories are left: $(ls "$work/state/runs")"
echo "ok: $checks checks"
