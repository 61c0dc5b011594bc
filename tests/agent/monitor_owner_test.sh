#!/bin/bash
# Who owns a package: real installs through the agent, and an administrator's dpkg beside it. A removal outside the agent
# ends ownership even where the package is there again; an upgrade does not; an account that only shares a uid with the
# owner owns nothing and sees nothing of its history.
. "$(dirname "$0")/agent_env.sh"
. "$(dirname "$0")/../lib/repo.sh"
agent_begin
repo_begin "$work/repo"
repo_sample "$work/repo/repos"
root=$work/repo/root
repo_root "$root"
for version in 1.0 2.0; do
    repo_deb "$work/repo/extra" vim-tiny "$version"
done
repo_deb "$work/repo/extra" old-tool 1.0
repo_root_install "$root" "$work"/repo/extra/pool/old-tool_*.deb

cat >"$work/owner.policy" <<POLICY
policy owners "Owners" version 1 zone "Etc/UTC";
import "std/apt.policy";
source internal { type apt; location "deb file:$work/repo/repos/internal stable main"; key "$REPO_KEY"; self_service; }
@id("base") allow everyone to install, upgrade from self_service when user.changes_today < 20;
@id("own") allow everyone to uninstall own;
POLICY
agent_policy "$work/owner.policy"
agent_start || fail "the agent does not start"
log=$root/var/log/dpkg.log
mark=$work/state/dpkg-log.mark

outside() { # as an administrator would, with the root's own log; in another time zone, which must not matter
    TZ=${zone:-Pacific/Honolulu} dpkg --root="$root" --log="$log" "$@" >"$work/dpkg" 2>&1 ||
        { cat "$work/dpkg" >&2; fail "dpkg $*"; }
}

owner() { # NAME USER: or nobody
    local got
    checks=$((checks + 1))
    got=$(sql "SELECT user FROM ownership WHERE name = '$1'") || fail "no ownership table"
    [ "${got:-nobody}" = "$2" ] || fail "$1 belongs to ${got:-nobody}, not to $2"
}

why_ended() { # NAME: the reason of the last end on record
    audit export --state "$work/state" 2>"$work/export.err" |
        jq -r --arg name "$1" 'select(.kind == "own" and .package == $name and .granted == false) | .text' | tail -n 1
}

expect_end() { # NAME TEXT
    local got
    checks=$((checks + 1))
    got=$(why_ended "$1")
    case "$got" in *"$2"*) ;; *) fail "the ownership of $1 ended because: ${got:-it did not}" ;; esac
}

get() { # USER PACKAGE
    self "$1" install "$2"
    expect_status 0
    owner "$2" "$1"
}

again() { # PACKAGE: removed and installed by somebody else
    outside --remove "$1"
    outside --install "$(ls "$work"/repo/repos/internal/pool/"$1"_*.deb | head -n 1)"
}

# Removed and installed again behind the agent's back: it is not alice's any more.
get "$alice" git
again git
self "$alice" uninstall git
expect_status 77
[ "$(repo_root_version "$root" git)" != "" ] || fail "somebody else's package was removed"
owner git nobody
expect_end git "removed outside the agent at "

# The same while no agent runs.
get "$alice" nmap
agent_stop
again nmap
agent_start || fail "the agent does not start again"
self "$alice" uninstall nmap
expect_status 77
owner nmap nobody

# What the agent itself removed and installed again is its new owner's.
outside --remove nmap
get "$bob" nmap
self "$bob" uninstall nmap
expect_status 0
owner nmap nobody
expect_end nmap removed
get "$alice" nmap
self "$bob" explain uninstall nmap
owner nmap "$alice"

# An upgrade outside leaves ownership as it is; so does somebody else's removal of another package.
cp "$work"/repo/extra/pool/vim-tiny_1.0*.deb "$work/repo/repos/internal/pool/"
repo_publish "$work/repo/repos/internal"
rm -f "$work"/state/apt/*/refreshed
get "$alice" vim-tiny
outside --install "$work"/repo/extra/pool/vim-tiny_2.0*.deb
outside --remove old-tool
self "$alice" explain uninstall vim-tiny
owner vim-tiny "$alice"
self "$alice" uninstall vim-tiny
expect_status 0
owner vim-tiny nobody
owner nmap "$alice"

# A rotated log is still read; one that was rotated away twice tells nothing, and doubt ends ownership.
mv "$log" "$log.1"
outside --install "$work"/repo/extra/pool/old-tool_*.deb
self "$alice" explain uninstall nmap
owner nmap "$alice"
outside --remove old-tool
mv "$log" "$log.1"
: >"$log"
self "$alice" explain uninstall nmap
owner nmap "$alice"
outside --install "$work"/repo/extra/pool/old-tool_*.deb
mv "$log" "$log.1"
mv "$log.1" "$log.2"
outside --remove old-tool
self "$alice" uninstall nmap
expect_status 77
owner nmap nobody
expect_end nmap "what happened outside the agent is not known"

# A log that cannot be read, or was cut; and the mark itself, lost or damaged.
outside --remove nmap
get "$alice" nmap
chmod 0600 "$log"
self "$alice" uninstall nmap
expect_status 77
expect_end nmap "cannot be read"
chmod 0644 "$log"
outside --remove nmap
get "$alice" nmap
head -c 300 "$log" >"$log.new" && mv "$log.new" "$log" && rm -f "$log.1"
self "$alice" uninstall nmap
expect_status 77
owner nmap nobody
outside --remove nmap
get "$alice" nmap
self "$alice" explain uninstall nmap
agent_stop
[ -s "$mark" ] || fail "it is not kept how far the log was read"
printf x >"$mark"
agent_start || fail "the agent does not start with a damaged mark"
self "$alice" uninstall nmap
expect_status 77
owner nmap nobody
outside --remove nmap

# Somebody else with alice's uid: neither her packages, nor her history, nor what she has used of the day.
get "$alice" vlc
self "$alice" --json history
expect_status 0
[ "$(grep -c '"vlc"' "$work/out")" -gt 0 ] || fail "alice does not see her history"
uid=$(id -u "$alice")
for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do
    self "$alice" uninstall nmap
    self "$alice" install nmap
    [ "$status" = 0 ] || break
done
expect_status 77 # the day's changes are used up
mallory=pva-ma$suffix
service_accounts="$service_accounts $mallory $alice" # goes away with them, wherever this ends
usermod --login "$mallory" "$alice"
self "$mallory" history
expect_status 0
! grep -q vlc "$work/out" || fail "the history of whoever had the uid before is shown"
self "$mallory" uninstall vlc
expect_status 77
[ "$(repo_root_version "$root" vlc)" != "" ] || fail "a stranger with the same uid removed it"
owner vlc nobody
expect_end vlc "account deleted"
self "$mallory" install vim-tiny
expect_status 0
owner vim-tiny "$mallory"
usermod --login "$alice" "$mallory"
self "$alice" uninstall vlc
expect_status 77
self "$alice" uninstall vim-tiny
expect_status 77

agent_stop
[ "$agent_status" = 0 ] || fail "the agent ended with $agent_status"
audit verify --state "$work/state" >"$work/out" 2>&1 || fail "the ledger does not verify"
echo "ok: $checks checks"
