#!/bin/bash
# Package transactions end to end: real apt and dpkg over signed repositories in an alternate root, asked for by real
# people. Each check looks at dpkg's database, at ownership in the ledger, or at what the person is told.
. "$(dirname "$0")/agent_env.sh"
. "$(dirname "$0")/../lib/repo.sh"
agent_begin
repo_begin "$work/repo"
repo_sample "$work/repo/repos"
root=$work/repo/root
repo_root "$root"
repo_deb "$work/repo/extra" site-guard 4.1
repo_deb "$work/repo/extra" old-tool 1.0
repo_root_install "$root" "$work"/repo/extra/pool/*.deb

policy() { # VERSION [EXTRA-RULE]
    cat >"$work/packages.policy" <<POLICY
policy packages "Packages" version $1 zone "Etc/UTC";
import "std/apt.policy";
role admin = user "root" or group "$admins";
source internal { type apt; location "deb file:$work/repo/repos/internal stable main"; key "$REPO_KEY"; priority 1; self_service; }
source vendor { type apt; location "deb file:$work/repo/repos/vendor stable main"; key "$REPO_KEY"; admin_only; }
direct admin;
@id("base") allow everyone to install, upgrade from self_service;
@id("own") allow everyone to uninstall own;
@id("no-nmap") deny everyone to install "nmap" because "Network tools need NetOps.";
$2
POLICY
    agent_policy "$work/packages.policy"
}
policy 1 ""
agent_start --refresh 0 --protected site-guard || fail "the agent does not start"

installed() { # NAME VERSION: or absent
    local got
    checks=$((checks + 1))
    got=$(repo_root_version "$root" "$1" 2>/dev/null) || got=absent
    [ "$got" = "$2" ] || fail "$1 is $got, not $2"
}

owner() { # NAME USER: or nobody
    local got
    checks=$((checks + 1))
    got=$(sql "SELECT user FROM ownership WHERE name = '$1'") || fail "no ownership table"
    [ "${got:-nobody}" = "$2" ] || fail "$1 belongs to ${got:-nobody}, not to $2"
}

self "$alice" install vlc
expect_status 0
installed vlc 3.0.18-2
installed libvlc5 3.0.18-2
installed vlc-skins 1.0
owner vlc "$alice"
owner libvlc5 nobody
grep -q '^Package: libvlc5' "$root/var/lib/apt/extended_states" "$work"/state/apt/*/state/extended_states 2>/dev/null ||
    fail "the dependency is not marked automatic"

self "$alice" --json install vlc
expect_status 0
expect_text '"nothing"'

self "$bob" install nmap
expect_status 77
expect_text "Network tools need NetOps."
installed nmap absent

self "$bob" install vlc --source "deb file:/tmp/elsewhere stable main"
expect_status 77
expect_text "Installs from custom source locations are not allowed in background mode. Please remove custom source and try again using default (configured) package source locations."

self "$bob" uninstall vlc
expect_status 77
installed vlc 3.0.18-2
self "$alice" uninstall vlc
expect_status 0
installed vlc absent
owner vlc nobody

self "$alice" install fast-net
expect_status 77
expect_text "site-guard"
expect_text "builtin:protected"
installed site-guard 4.1
installed fast-net absent

self "$bob" install zoom
[ "$status" != 0 ] || fail "a package of a hidden source was installed"
installed zoom absent
self "$bob" install codec-tool
[ "$status" != 0 ] || fail "a dependency of a hidden source was installed"
installed codec-pack absent
self "$bob" install broken-dep
[ "$status" != 0 ] || fail "a broken package was installed"

self "$alice" install motd-banner
expect_status 0
[ "$(cat "$root/etc/motd-banner")" = "0 $alice $(id -u "$alice")" ] || fail "the maintainer script was not told who asked"

# A dry run and an explanation change nothing.
self "$bob" install git --dry-run
expect_status 0
installed git absent
self "$bob" explain install git
expect_status 0
installed git absent
self "$bob" explain install nmap
expect_text "no-nmap"

# An upgrade, of one and of everything; a denied package does not block the rest.
self "$alice" install vlc
expect_status 0
self "$bob" install gimp
expect_status 0
repo_sample_update "$work/repo/repos"
repo_deb "$work/repo/repos/internal" gimp 2.10.36-1 "Depends: gimp-data (= 2.10.34-1)"
repo_publish "$work/repo/repos/internal"
policy 2 '@id("no-gimp") deny everyone to upgrade "gimp" because "Wait for the next release.";'
agent_reload
self "$bob" upgrade gimp
expect_status 77
expect_text "Wait for the next release."
self "$bob" upgrade
expect_status 0
installed vlc 3.0.20-1
installed libvlc5 3.0.20-1
installed gimp 2.10.34-1
expect_text "no-gimp"
owner vlc "$alice"

# An administrator is sent to run it herself; the never-brokered is on record.
self "$carol" --json install git
expect_text '"direct"'
installed git absent
self "$alice" source list
expect_status 77

# What an older policy allowed is not brought back by an older bundle.
policy 1 '@id("everything") allow everyone to uninstall;'
agent_reload
grep -q "version is lower" "$work/log" || fail "an older policy was taken"
self "$bob" uninstall old-tool
expect_status 77
installed old-tool 1.0

self "$alice" history
expect_status 0
expect_text vlc
self "$alice" rights
expect_status 0
expect_text base
agent_stop
[ "$agent_status" = 0 ] || fail "the agent ended with $agent_status"
audit verify --state "$work/state" >"$work/out" 2>&1 || fail "the ledger does not verify"
[ -z "$(ls "$work/state/runs")" ] || fail "run directories are left: $(ls "$work/state/runs")"
echo "ok: $checks checks"
