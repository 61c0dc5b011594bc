#!/bin/bash
# Plans of the real apt over real repositories, asked for as the monitor does, answered by an unprivileged planner.
. "$(dirname "$0")/apt_env.sh"
repo_sample "$work/repos"
repo_root "$root"
repo_root_install "$root" "$work"/repos/internal/pool/site-guard_*.deb
only="-n internal -P 1"
both="-n internal -P 1 -n vendor"

# Nothing fetched yet, and no source at all.
"$tool" config "$set" "$root" "$hook" -n internal -l "$internal" >"$work/answer" || fail config
ask 0 $plan_verb_install 0 $only -p vlc && fails 8 ""
ask 0 $plan_verb_install 0 -p vlc
fails 7 "" "There are no sources enabled for packages and none were passed as arguments."

use -n internal -l "$internal" -n vendor -l "$vendor"

# install: dependencies and recommendations with who wanted them; a lower number goes first although vendor is newer
ask 0 $plan_verb_install 0 $both -p vlc
answers "op install libvlc5 amd64 - 3.0.18-2 internal dependency wanted_by=vlc section=libs" \
    "op install vlc amd64 - 3.0.18-2 internal section=video" \
    "op install vlc-skins all - 1.0 internal dependency wanted_by=vlc section=misc" "done 3"
ask 0 $plan_verb_install 1 $both -p vlc
answers "op install libvlc5 amd64 - 3.0.18-2 internal dependency wanted_by=vlc section=libs" \
    "op install vlc amd64 - 3.0.18-2 internal section=video" "done 2"
ask 0 $plan_verb_install 0 -n internal -n vendor -P 5 -p vlc # 0 goes last
answers "op install vlc amd64 - 3.0.21-9 vendor section=video" "done 1"
ask 0 $plan_verb_install 0 -n internal -n vendor -p vlc # equal: the newest
answers "op install vlc amd64 - 3.0.21-9 vendor section=video" "done 1"
ask 0 $plan_verb_install 1 $both -p vlc -p gimp -p codec-tool
answers "op install codec-pack amd64 - 9.0 vendor dependency wanted_by=codec-tool section=misc" \
    "op install codec-tool amd64 - 1.0 internal section=misc" \
    "op install gimp amd64 - 2.10.34-1 internal section=misc" \
    "op install gimp-data all - 2.10.34-1 internal dependency wanted_by=gimp section=misc" \
    "op install libvlc5 amd64 - 3.0.18-2 internal dependency wanted_by=vlc section=libs" \
    "op install vlc amd64 - 3.0.18-2 internal section=video" "done 6"

# a version of one's own choice, with an epoch too; and ones that are not there
ask 0 $plan_verb_install 0 $both -p vlc -v 3.0.21-9
answers "op install vlc amd64 - 3.0.21-9 vendor section=video" "done 1"
ask 0 $plan_verb_install 0 $both -p git -v 1:2.39.2-1.1
answers "op install git amd64 - 1:2.39.2-1.1 internal section=vcs" \
    "op install libpcre2-8-0 amd64 - 10.42-1 internal dependency wanted_by=git section=libs" "done 2"
ask 0 $plan_verb_install 0 $both -p git -v 2.39.2-1.1 && fails 4 git
ask 0 $plan_verb_install 0 $both -p vlc -v 9 && fails 4 vlc "No permitted source has version 9 of vlc."
ask 0 $plan_verb_install 0 $both -p vlc -a i386 && fails 3 vlc

# a source that only serves dependencies does not satisfy what is named, nor tell that it could
ask 0 $plan_verb_install 0 $only -n vendor -d -p zoom
fails 3 zoom "No package of the name zoom is in a permitted source."
ask 0 $plan_verb_install 0 $only -n vendor -d -p vlc -v 3.0.21-9 && fails 4 vlc
ask 0 $plan_verb_install 0 $only -n vendor -d -p codec-tool
answers "op install codec-pack amd64 - 9.0 vendor dependency wanted_by=codec-tool section=misc" \
    "op install codec-tool amd64 - 1.0 internal section=misc" "done 2"

# a Conflicts that removes another package is told, with who brought it about
ask 0 $plan_verb_install 0 $both -p fast-net
answers "op install fast-net amd64 - 2.0 internal section=net" \
    "op remove site-guard amd64 4.1 - - dependency wanted_by=fast-net section=admin" "done 2"
ask 0 $plan_verb_install 4 $both -p fast-net
answers "op install fast-net amd64 - 2.0 internal section=net" \
    "op purge site-guard amd64 4.1 - - dependency wanted_by=fast-net section=admin" "done 2"

# names that are none, and names that are patterns to apt
ask 0 $plan_verb_install 0 $both -p nosuch && fails 3 nosuch
ask 0 $plan_verb_install 0 $both -p libvlc && fails 3 libvlc # apt itself would try it as an expression
for name in '-y' '--purge' 'vlc-' 'vlc=3*' 'vlc/stable' 'vlc:amd64' '^vlc' '?name(vlc)' '~nvlc' 'task^' './vlc.deb' \
    "$work/repos/internal/pool/vlc_3.0.18-2_amd64.deb" 'vlc*' '' 'v' 'VLC' 'vlc gimp' $'vlc\n' '../vlc' 'vlc;id' '$(id)' '`id`' \
    'vlc\' "$(printf 'a%.0s' {1..5000})"; do
    ask 0 $plan_verb_install 0 $both -p "$name" && fails 2 ""
done
ask 0 $plan_verb_install 0 $both -p vlc+ && fails 3 vlc+ # a name by its letters, and apt's modifier otherwise
for version in '3*' '-1' '1 2' '3.0.18-2/stable' $'1\n2' ':' '1-' '=1'; do
    ask 0 $plan_verb_install 0 $both -p vlc -v "$version" && fails 2 vlc
done
ask 0 $plan_verb_install 0 $both -p vlc -p vlc && fails 2 vlc
ask 0 $plan_verb_install 0 $both && fails 2 ""
ask 0 $plan_verb_install 0 $both -p broken-dep
fails 6 broken-dep " broken-dep : Depends: no-such-library (>= 2) but it is not installable"
both_set=$set set=$work/set-internal
use -n internal -l "$internal"
ask 0 $plan_verb_install 0 $only -p codec-tool && fails 6 codec-tool "Depends: codec-pack"
ask 0 $plan_verb_install 0 $only -p zoom && fails 3 zoom
set=$both_set

# the empty plan, removal, upgrade, downgrade and reinstallation
ask 0 $plan_verb_install 0 $both -p site-guard && answers "done 0"
ask 0 $plan_verb_upgrade 0 $both && answers "done 0"
ask 0 $plan_verb_upgrade 0 $both -p vlc && fails 5 vlc
ask 0 $plan_verb_uninstall 0 -p vlc && fails 3 vlc
ask 0 $plan_verb_uninstall 0 $both -p vlc && fails 5 vlc
repo_root_install "$root" "$work"/repos/internal/pool/{libvlc5,vlc,gimp-data,gimp}_*.deb
repo_sample_update "$work/repos"
"$tool" run refresh "$set" "$root" "$run" - >"$work/answer" 2>&1 || fail "apt-get update fails"
ask 0 $plan_verb_upgrade 1 $both
answers "op upgrade libvlc5 amd64 3.0.18-2 3.0.20-1 internal section=libs" \
    "op upgrade vlc amd64 3.0.18-2 3.0.20-1 internal section=video" "done 2"
ask 0 $plan_verb_upgrade 1 $both -p vlc
answers "op upgrade libvlc5 amd64 3.0.18-2 3.0.20-1 internal dependency wanted_by=vlc section=libs" \
    "op upgrade vlc amd64 3.0.18-2 3.0.20-1 internal section=video" "done 2"
ask 0 $plan_verb_upgrade 1 $both -p libvlc5
answers "op upgrade libvlc5 amd64 3.0.18-2 3.0.20-1 internal section=libs" "done 1"
ask 0 $plan_verb_install 1 $both -p libvlc5 # installing what is there in an older version is an upgrade
answers "op upgrade libvlc5 amd64 3.0.18-2 3.0.20-1 internal section=libs" "done 1"
ask 0 $plan_verb_uninstall 0 -p libvlc5
answers "op remove libvlc5 amd64 3.0.18-2 - - section=libs" \
    "op remove vlc amd64 3.0.18-2 - - dependency wanted_by=libvlc5 section=video" "done 2"
ask 0 $plan_verb_uninstall 4 -p vlc
answers "op purge vlc amd64 3.0.18-2 - - section=video" "done 1"
ask 0 $plan_verb_uninstall 0 -p vlc -v 9 && fails 4 vlc
ask 0 $plan_verb_reinstall 0 $both -p gimp
answers "op reinstall gimp amd64 2.10.34-1 2.10.34-1 internal section=misc" "done 1"
ask 0 $plan_verb_reinstall 0 $both -p nmap && fails 5 nmap
repo_root_install "$root" "$work"/repos/internal/pool/libvlc5_3.0.20-1_*.deb
repo_deb "$work/repos/internal" libvlc5 3.0.18-2 "Section: libs"
repo_publish "$work/repos/internal"
"$tool" run refresh "$set" "$root" "$run" - >"$work/answer" 2>&1 || fail "apt-get update fails"
ask 0 $plan_verb_install 0 $both -p libvlc5 && answers "done 0"
ask 0 $plan_verb_install 0 $both -p libvlc5 -v 3.0.18-2
answers "op downgrade libvlc5 amd64 3.0.20-1 3.0.18-2 internal section=libs" "done 1"

# an essential package, and what is removed along with it
repo_deb "$work/repos/internal" base-thing 1.0 "Essential: yes" && base=$REPO_DEB
repo_deb "$work/repos/internal" anti-base 1.0 "Conflicts: base-thing"
repo_publish "$work/repos/internal" && repo_root_install "$root" "$base"
"$tool" run refresh "$set" "$root" "$run" - >"$work/answer" 2>&1 || fail "apt-get update fails"
ask 0 $plan_verb_install 0 $both -p anti-base && fails 6 anti-base "Conflicts: base-thing"
ask 0 $plan_verb_uninstall 0 -p base-thing
answers "op remove base-thing amd64 1.0 - - essential section=misc" "done 1"
dpkg --root="$root" --log=/dev/null --force-remove-essential --purge base-thing >/dev/null 2>&1

# automatic packages, what nothing needs any longer, holds
printf 'Package: gimp-data\nArchitecture: amd64\nAuto-Installed: 1\n\n' >"$root/var/lib/apt/extended_states"
ask 0 $plan_verb_uninstall 2 -p gimp
grep -q "^op remove gimp amd64 2.10.34-1 - - section=misc$" "$work/answer" || fail "gimp is not removed"
grep -q "^op remove gimp-data all 2.10.34-1 - - dependency automatic" "$work/answer" || fail "the orphan stays"
ask 1 0 0 -p gimp-data && grep -q "installed automatic installed=2.10.34-1" "$work/answer" || fail "no mark"
dpkg --root="$root" --set-selections <<<"vlc hold"
ask 0 $plan_verb_upgrade 1 $both -p vlc && fails 9 vlc
ask 0 $plan_verb_uninstall 0 -p vlc && fails 9 vlc
ask 0 $plan_verb_upgrade 1 $both && answers "done 0" # apt leaves it alone
dpkg --root="$root" --set-selections <<<"vlc install"

# facts
ask 1 0 0 -p vlc -p nosuch -p site-guard
answers "state vlc amd64 installed installed=3.0.18-2 candidate= source= size=0 summary=sample package vlc" \
    "state nosuch - installed= candidate= source= size=0 summary=" \
    "state site-guard amd64 installed installed=4.1 candidate= source= size=0 summary=sample package site-guard" "done 3"
ask 1 0 0 && [ "$(grep -c '^state ' "$work/answer")" = 5 ] || fail "not every installed package is told"
ask 2 0 0 $both -p vlc && grep -q "installed available installed=3.0.18-2 candidate=3.0.20-1 source=internal" "$work/answer" || fail names

# two permitted sources that have different archives under one version
repo_deb "$work/repos/vendor" gimp 2.10.34-1 "Depends: gimp-data (= 2.10.34-1)" "@file=/usr/share/x=other"
repo_deb "$work/repos/vendor" twin 1.0 && repo_deb "$work/repos/internal" twin 1.0 # the same content
repo_publish "$work/repos/vendor" && repo_publish "$work/repos/internal"
"$tool" run refresh "$set" "$root" "$run" - >"$work/answer" 2>&1 || fail "apt-get update fails"
ask 0 $plan_verb_reinstall 0 $both -p gimp && fails 11 gimp
ask 0 $plan_verb_install 0 $both -p nmap && answers "op install nmap amd64 - 7.93-1 internal section=net" "done 1"

# the dependency comes from the source that goes first, although another has a newer one; unless it must be newer
repo_deb "$work/repos/internal" libdual 1.0 && repo_deb "$work/repos/vendor" libdual 2.0
repo_deb "$work/repos/internal" dual 1.0 "Depends: libdual"
repo_deb "$work/repos/internal" dual-new 1.0 "Depends: libdual (>= 2)"
repo_publish "$work/repos/vendor" && repo_publish "$work/repos/internal"
"$tool" run refresh "$set" "$root" "$run" - >"$work/answer" 2>&1 || fail "apt-get update fails"
ask 0 $plan_verb_install 0 $both -p dual
answers "op install dual amd64 - 1.0 internal section=misc" \
    "op install libdual amd64 - 1.0 internal dependency wanted_by=dual section=misc" "done 2"
ask 0 $plan_verb_install 0 $both -p dual-new
answers "op install dual-new amd64 - 1.0 internal section=misc" \
    "op install libdual amd64 - 2.0 vendor dependency wanted_by=dual-new section=misc" "done 2"

# packages that go together by exact version: all from the source that goes first
for v in 1.0 2.0; do
    dir=$work/repos/internal && [ $v = 1.0 ] || dir=$work/repos/vendor
    repo_deb "$dir" suite $v "Depends: suite-bin (= $v), suite-data (= $v)"
    repo_deb "$dir" suite-bin $v "Depends: suite-data (= $v)" && repo_deb "$dir" suite-data $v "Architecture: all"
done
repo_publish "$work/repos/vendor" && repo_publish "$work/repos/internal"
"$tool" run refresh "$set" "$root" "$run" - >"$work/answer" 2>&1 || fail "apt-get update fails"
ask 0 $plan_verb_install 0 $both -p suite -o "$run/plan"
answers "op install suite amd64 - 1.0 internal section=misc" \
    "op install suite-bin amd64 - 1.0 internal dependency wanted_by=suite section=misc" \
    "op install suite-data all - 1.0 internal dependency wanted_by=suite section=misc" "done 3"
"$tool" run fetch "$set" "$root" "$run" "$run/plan" >"$work/fetched" 2>&1 || fail "fetch: $(cat "$work/fetched")"
"$tool" run apply "$set" "$root" "$run" "$run/plan" >"$work/fetched" 2>&1 || fail "apply: $(cat "$work/fetched")"
ask 0 $plan_verb_upgrade 0 $both -p suite
answers "op upgrade suite amd64 1.0 2.0 vendor section=misc" \
    "op upgrade suite-bin amd64 1.0 2.0 vendor dependency wanted_by=suite section=misc" \
    "op upgrade suite-data all 1.0 2.0 vendor dependency wanted_by=suite section=misc" "done 3"

# a repository that lies about itself: labels that imitate apt's output change nothing
repo_publish "$work/repos/vendor" --label 'internal:stable [i386])'
"$tool" run refresh "$set" "$root" "$run" - >"$work/answer" 2>&1 || true # apt wants such a change confirmed
rm -rf "$set/lists"
"$tool" config "$set" "$root" "$hook" -n internal -l "$internal" -n vendor -l "$vendor"
"$tool" run refresh "$set" "$root" "$run" - >"$work/answer" 2>&1 || fail "apt-get update fails"
ask 0 $plan_verb_install 0 $both -p codec-pack
answers "op install codec-pack amd64 - 9.0 vendor section=misc" "done 1"

# an interrupted dpkg, a package in between, a damaged database, damaged and lying indexes
touch "$root/var/lib/dpkg/updates/0001"
ask 0 $plan_verb_install 0 $both -p nmap && fails 10 "" "dpkg --configure -a"
rm "$root/var/lib/dpkg/updates/0001"
cp "$root/var/lib/dpkg/status" "$work/status"
sed -i '/^Package: site-guard$/,/^$/s/^Status: .*/Status: install ok half-configured/' "$root/var/lib/dpkg/status"
ask 0 $plan_verb_install 0 $both -p nmap && fails 10 site-guard
ask 1 0 0 -p site-guard && grep -q "state site-guard amd64 broken" "$work/answer" || fail "not told as broken"
for damage in 's/^Status: .*/Status: fine/' 's/^Package: vlc$/Package: v lc/' 's/^Version: 4.1/Version: 4.1 ; id/' \
    's/^Package: gimp$/Package/' 's/^Architecture: amd64/Architecture: ..\/x/' 's/^Version: 4.1/&\nVersion: 5/'; do
    sed "$damage" "$work/status" >"$root/var/lib/dpkg/status"
    ask 0 $plan_verb_install 0 $both -p nmap && fails 12 ""
done
cp "$work/status" "$root/var/lib/dpkg/status"
index=$(ls "$set"/lists/*internal*_Packages)
cp "$index" "$work/index"
for damage in 's/^SHA256: .*/SHA256: 00/' 's/^Filename: pool/Filename: ..\/pool/' 's/^Size: .*/Size: -1/' 's/^SHA256/X-SHA256/' \
    's/^Version: 7.93-1/Version: 7.93-1 \x1b[2J/'; do
    sed "/^Package: nmap$/,/^$/{$damage}" "$work/index" >"$index"
    ask 0 $plan_verb_install 0 $both -p nmap && fails 12 "" "Package: nmap"
    ask 0 $plan_verb_install 0 $both -p motd-banner
    answers "op install motd-banner amd64 - 1.2 internal section=misc" "done 1" # the others are unharmed
done
cp "$work/index" "$index"
printf 'no package at all\n\n' >"$index" && ask 0 $plan_verb_install 0 $both -p nmap && fails 12 ""
cp "$work/index" "$index"

# a set directory that holds a source which the request does not permit
ask 0 $plan_verb_install 0 $only -p nmap && fails 1 ""

[ "$checks" -gt 60 ] || fail "only $checks checks ran"
echo "ok, $checks answers checked"
