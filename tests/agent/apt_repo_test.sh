#!/bin/bash
# The test repositories themselves: apt accepts their signatures, refuses another key's, and maintainer scripts run in an
# alternate root. Everything else that tests or shows apt stands on this.
set -eu
. "$(dirname "$0")/../lib/repo.sh"
work=$(mktemp -d /tmp/pv-repo.XXXXXX)
trap repo_end EXIT
fail() { echo "FAIL: $*" >&2 && exit 1; }
[ "$(id -u)" = 0 ] || { echo "needs root" >&2 && exit 77; }

repo_begin "$work"
repo_sample "$work/repos"
repo_root "$work/root"
repo_root_install "$work/root" "$work"/repos/internal/pool/{site-guard,motd-banner}_*.deb
[ "$(repo_root_version "$work/root" site-guard)" = 4.1 ] || fail "site-guard is not installed in the root"
repo_root_version "$work/root" vlc && fail "vlc counts as installed"
[ "$(cat "$work/root/etc/motd-banner")" = "0 nobody-told -" ] || fail "the maintainer script did not run in the root"
[ ! -e /etc/motd-banner ] || fail "the maintainer script ran outside the root"

apt_in() { # apt_in KEY COMMAND...
    local key=$1
    shift
    mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial"
    echo "deb [signed-by=$key] file:$work/repos/internal stable main" >"$work/apt/sources.list"
    apt-get -q -o Dir::Etc::sourcelist="$work/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::State::lists="$work/apt/lists" -o Dir::Cache="$work/apt/cache" \
        -o Dir::State::status="$work/root/var/lib/dpkg/status" "$@"
}
apt_in "$REPO_KEY" update >"$work/out" 2>&1 || { cat "$work/out" && fail "apt refuses the signed repository"; }
apt_in "$REPO_KEY" -s install vlc >"$work/out" 2>&1 || fail "apt finds no vlc"
grep -q '^Inst libvlc5 (3.0.18-2 ' "$work/out" || fail "vlc does not bring libvlc5"
rm -rf "$work/apt"
repo_key other
apt_in "$work/keys/other.gpg" update >"$work/out" 2>&1 && fail "apt takes a signature of another key"
grep -q NO_PUBKEY "$work/out" || fail "apt failed for another reason than the key"

repo_sample_update "$work/repos"
rm -rf "$work/apt"
apt_in "$REPO_KEY" update >"$work/out" 2>&1
apt_in "$REPO_KEY" -s install vlc | grep -q '^Inst vlc (3.0.20-1 ' || fail "the update did not bring vlc 3.0.20-1"
echo ok
