#!/bin/bash
# Root's apt with the exact vectors, and the hook: what was planned happens, in the alternate root alone; anything else
# stops before dpkg is started.
. "$(dirname "$0")/apt_env.sh"
repo_sample "$work/repos"
unique=pv-hook-$$ # a name that no log on this machine holds yet
repo_deb "$work/repos/internal" "$unique" 1.0 && repo_publish "$work/repos/internal"
repo_root "$root"
repo_root_install "$root" "$work"/repos/internal/pool/{site-guard,nmap}_*.deb
both="-n internal -P 1 -n vendor"
use -n internal -l "$internal" -n vendor -l "$vendor"
before=$(dpkg-query -W | sha256sum)

plan() { # plan VERB OPTION...
    local verb=$1
    shift
    ask 0 "$verb" 0 $both "$@" -o "$run/plan"
    tail -n 1 "$work/answer" | grep -q ^done || fail "no plan"
    chmod 0600 "$run/plan"
}
step() { "$tool" run "$1" "$set" "$root" "$run" "$run/plan" "${@:2}" >"$work/answer" 2>&1 </dev/null; }
has() { checks=$((checks + 1)) && [ "$(repo_root_version "$root" "$1" || echo none)" = "$2" ] || fail "$1 is not $2"; }
refused() { # refused TEXT: apply stops, says so in the run directory, nothing is unpacked
    checks=$((checks + 1))
    rm -f "$run"/hook-*
    step apply && fail "apply went through: $1"
    grep -qF -- "$1" "$run/hook-error" || fail "hook-error does not say: $1; it says: $(cat "$run/hook-error")"
    [ ! -e "$run/hook-ok" ] || fail "hook-ok in spite of: $1"
    ! grep -q ^Unpacking "$work/answer" || fail "dpkg ran in spite of: $1"
}

# A real install with a dependency and a maintainer script.
plan $plan_verb_install -p motd-banner -p vlc -p "$unique"
step fetch || fail "the archives are not fetched"
has vlc none
TEST_USER=alice step apply || fail "the plan is not applied"
[ -s "$run/hook-ok" ] || fail "no hook-ok"
has vlc 3.0.18-2 && has libvlc5 3.0.18-2 && has vlc-skins 1.0 && has motd-banner 1.2 && has "$unique" 1.0
[ "$(cat "$root/etc/motd-banner")" = "0 alice 1001" ] || fail "the maintainer script did not see the requester"
grep -q "^Requested-By: .*(1001)\|Install: .*vlc:amd64" "$root/var/log/apt/history.log" || fail "no history in the root"
grep -q " install vlc:amd64 " "$root/var/log/dpkg.log" || fail "no dpkg log in the root"
[ ! -L "$set/archives/vlc_3.0.18-2_amd64.deb" ] && [ "$(stat -c %u:%a "$set/archives/vlc_3.0.18-2_amd64.deb")" = 0:644 ] ||
    fail "the archive is not root's own copy"
[ -f "$(echo "$set"/lists/*internal*Packages)" ] && [ ! -L "$(echo "$set"/lists/*internal*Packages)" ] || fail "the index is no copy"

# Dependencies are marked as such, and what is asked for later is not.
TEST_DEPENDENCY=libvlc5 step mark-auto || fail "mark-auto"
grep -A2 "^Package: libvlc5" "$root/var/lib/apt/extended_states" | grep -q "Auto-Installed: 1" || fail "libvlc5 is manual"
step mark-manual libvlc5 || fail "mark-manual"
! grep -A2 "^Package: libvlc5" "$root/var/lib/apt/extended_states" | grep -q "Auto-Installed: 1" || fail "libvlc5 is automatic"

# A removal through Conflicts, planned and applied exactly; and back.
plan $plan_verb_install -p fast-net
grep -q "^remove site-guard amd64 4.1 - - -$" "$run/plan" || fail "the canonical plan lacks the removal"
step fetch && step apply || fail "the plan with a removal is not applied"
has fast-net 2.0 && has site-guard none
plan $plan_verb_install -p site-guard && step fetch && step apply || fail "back again"
has fast-net none && has site-guard 4.1

# --- refusals ---
plan $plan_verb_install -p gimp
cp "$run/plan" "$work/gimp.plan"
step fetch || fail "the archives are not fetched"

# an archive that is not the planned one: same size, other content
deb=$set/archives/gimp_2.10.34-1_amd64.deb
cp "$deb" "$work/good.deb"
printf X | dd of="$deb" bs=1 seek=100 conv=notrunc 2>/dev/null
refused "the archive of gimp 2.10.34-1 is not the one that was planned: its SHA-256 differs"
cp "$work/good.deb" "$deb"
# an archive that others can change, or that is somewhere else
chmod 0666 "$deb" && refused "the archive of gimp 2.10.34-1 cannot be read as root's file" && chmod 0644 "$deb"
chown nobody "$deb" && refused "the archive of gimp 2.10.34-1 cannot be read as root's file" && chown root "$deb"

# the plan says less, more, or something else than apt does
decided() { # decided SED: the hook's copy is changed, apt is still asked for the whole plan
    cp "$work/gimp.plan" "$work/asked.plan"
    sed "$1" "$work/gimp.plan" >"$run/plan"
    rm -f "$run"/hook-*
    "$tool" run apply "$set" "$root" "$run" "$work/asked.plan" >"$work/answer" 2>&1 </dev/null && fail "apply went through: $2"
    checks=$((checks + 1))
    grep -qF -- "$2" "$run/hook-error" || fail "hook-error does not say: $2; it says: $(cat "$run/hook-error")"
}
decided '/gimp-data/d' "apt wants to install gimp-data 2.10.34-1, which is not in the plan"
decided 's/gimp amd64 - 2.10.34-1/gimp amd64 - 2.10.35-1/' "apt wants version 2.10.34-1 of gimp, and the plan says 2.10.35-1"
decided 's/^install gimp amd64 -/upgrade gimp amd64 1.0/' "version - of gimp is there now, and the plan was made for 1.0"
decided '$ainstall zoom amd64 - 5.16.2 vendor 1111111111111111111111111111111111111111111111111111111111111111' \
    "the plan says install zoom, and apt does not do it"
decided '$aremove nmap amd64 7.93-1 - - -' "the plan says remove nmap, and apt does not do it"
decided 's/^install gimp amd64 - 2.10.34-1 internal [0-9a-f]*/remove gimp amd64 2.10.34-1 - - -/' "and the plan says remove"
decided 's/proviso-plan 1/proviso-plan 2/' "the plan of this run is missing or damaged"
decided '1!G;h;$!d' "the plan of this run is missing or damaged"
: >"$run/plan" && rm -f "$run"/hook-* && "$tool" run apply "$set" "$root" "$run" "$work/gimp.plan" >/dev/null 2>&1 && fail "an empty plan file"
rm "$run/plan" && ln -s "$work/gimp.plan" "$run/plan"
"$tool" run apply "$set" "$root" "$run" "$work/gimp.plan" >/dev/null 2>&1 && fail "a plan through a symbolic link"
rm "$run/plan" && cp "$work/gimp.plan" "$run/plan" && chmod 0666 "$run/plan"
"$tool" run apply "$set" "$root" "$run" "$run/plan" >/dev/null 2>&1 && fail "a plan that others can write"
chmod 0600 "$run/plan" && chmod 0755 "$run"
"$tool" run apply "$set" "$root" "$run" "$run/plan" >/dev/null 2>&1 && fail "a run directory that others can read"
chmod 0700 "$run"

# the machine changed between plan and run: gimp-data came in another version, nmap went
repo_deb "$work/repos/vendor" gimp-data 1.0 "Architecture: all"
repo_root_install "$root" "$REPO_DEB"
refused "version 1.0 of gimp-data is there now, and the plan was made for none"
dpkg --root="$root" --log=/dev/null --purge gimp-data >/dev/null 2>&1

# somebody uses the agent's configuration by hand: nothing has been decided
APT_CONFIG=$set/apt.conf apt-get -y install gimp >"$work/answer" 2>&1 </dev/null && fail "apt ran without a decision"
grep -q "there is no run directory of the agent's" "$work/answer" || fail "refused for another reason"
has gimp none

# and unchanged, it is applied
step apply || fail "the plan is not applied in the end"
has gimp 2.10.34-1

# a removal asked for, its configuration files along with it
ask 0 $plan_verb_uninstall 4 -p motd-banner -o "$run/plan"
step apply || fail "the removal is not applied"
has motd-banner none
[ ! -e "$root/etc/motd-banner" ] || fail "postrm did not run in the root"
step fetch && fail "there is nothing to fetch for a removal"

# nothing of this reached the machine itself
[ "$(dpkg-query -W | sha256sum)" = "$before" ] || fail "the machine's own packages changed"
grep -qs "$unique" /var/lib/dpkg/status /var/log/dpkg.log /var/log/apt/*.log && fail "the machine's own dpkg or apt was used"
[ "$checks" -ge 25 ] || fail "only $checks checks ran"
echo "ok, $checks checks"
