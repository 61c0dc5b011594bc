#!/bin/bash
# The generated configuration against the real apt: what it reads, what it refuses, and that nothing of the host's or a
# user's gets in.
. "$(dirname "$0")/apt_env.sh"
repo_sample "$work/repos"
repo_root "$root"

refuses() { # refuses TEXT OPTION...
    local text=$1
    shift
    checks=$((checks + 1))
    rm -rf "$work/refused"
    "$tool" config "$work/refused" "${ROOT-$root}" "$hook" "$@" >"$work/answer" && fail "accepted: $*"
    grep -qF -- "$text" "$work/answer" || fail "the refusal does not say: $text"
    [ ! -e "$work/refused/apt.conf" ] || fail "refused, and written all the same"
}
sign="[signed-by=$REPO_KEY]"
repo=$work/repos/internal
refuses "does not begin with deb" -n x -l "deb-src $sign file:$repo stable main"
refuses "trusted is not accepted" -n x -l "deb [trusted=yes] file:$repo stable main"
refuses "allow-insecure is not accepted" -n x -l "deb [signed-by=$REPO_KEY allow-insecure=yes] file:$repo stable main"
refuses "allow-weak is not accepted" -n x -l "deb [allow-weak=yes signed-by=$REPO_KEY] file:$repo stable main"
refuses "malformed option" -n x -l "deb [signed-by] file:$repo stable main"
refuses "not closed" -n x -l "deb [signed-by=$REPO_KEY file:$repo stable main"
refuses "has no key" -n x -l "deb file:$repo stable main"
refuses "differ" -n x -k /etc/passwd -l "deb $sign file:$repo stable main"
ROOT=/ refuses "only an agent started with --root accepts" -n x -u -l "deb file:$repo stable main"
refuses "neither http:, https: nor file:" -n x -l "deb $sign cdrom:/x stable main"
refuses "neither http:, https: nor file:" -n x -l "deb $sign ssh://host/x stable main"
refuses "not a plain absolute path" -n x -l "deb $sign file:relative stable main"
refuses "not a plain absolute path" -n x -l "deb $sign file:$repo/../vendor stable main"
refuses "credentials" -n x -l "deb $sign https://user:secret@host/debian stable main"
refuses "leaves its own directory" -n x -l "deb $sign file:$repo ../stable main"
refuses "lacks a suite" -n x -l "deb $sign file:$repo stable"
refuses "lacks a suite" -n x -l "deb $sign file:$repo"
refuses "malformed word" -n x -l "deb $sign file:$repo stable main;id"
refuses "no list may hold" -n x -l "deb $sign file:$repo stable main # more"
refuses "no list may hold" -n x -l "deb $sign file:$repo stable main"$'\n'"deb [trusted=yes] file:/tmp x y"
refuses "invalid name" -n ../x -l "deb $sign file:$repo stable main"
refuses "given twice" -n x -l "deb $sign file:$repo stable main" -n x -l "deb $sign file:$repo stable main"
mkdir -m 0777 "$work/open" && cp -r "$repo" "$work/open/repo"
refuses "can be written by others than root" -n x -l "deb $sign file:$work/open/repo stable main"
ln -s "$work/open/repo" "$work/link"
refuses "can be written by others than root" -n x -l "deb $sign file:$work/link stable main"
mkdir "$work/theirs" && chown nobody "$work/theirs"
refuses "and not to root" -n x -l "deb $sign file:$work/theirs stable main"
refuses "No such file" -n x -l "deb $sign file:$work/nothing stable main"
cp "$REPO_KEY" "$work/open/key.gpg"
refuses "can be written by others than root" -n x -l "deb [signed-by=$work/open/key.gpg] file:$repo stable main"
"$tool" config "$work/open/set" "$root" "$hook" -n x -l "$internal" >"$work/answer" || fail "a set below any directory"
chmod 0777 "$work/open/set"
"$tool" config "$work/open/set" "$root" "$hook" -n x -l "$internal" >"$work/answer" && fail "a set that others can write"
rm -rf "$work/open/set" && ln -s "$set" "$work/open/set"
"$tool" config "$work/open/set" "$root" "$hook" -n x -l "$internal" >"$work/answer" && fail "a set that is a symbolic link"

# The set is readable by all and writable by root alone, whatever the umask; written again, nothing changes.
(umask 077 && "$tool" config "$set" "$root" "$hook" -n internal -l "$internal") >"$work/answer" || fail "config"
[ -z "$(find "$set" -type d ! -perm 0755)$(find "$set" -type f ! -perm 0644)" ] || fail "modes: $(ls -lR "$set")"
stamp=$(stat -c %Y.%i "$set/apt.conf")
"$tool" config "$set" "$root" "$hook" -n internal -l "$internal" >"$work/answer" || fail "config again"
[ "$(stat -c %Y.%i "$set/apt.conf")" = "$stamp" ] || fail "an unchanged file was written again"

# Nothing else is read: not the host's configuration, not a user's, not the environment's.
dump=$(env -i APT_CONFIG="$set/apt.conf" HOME="$work" apt-config dump)
for line in 'Dir::Etc::parts "/dev/null";' 'Dir::Etc::main "/dev/null";' 'APT::Sandbox::User "_apt";' \
    "Dir::State::status \"$root/var/lib/dpkg/status\";" 'DPkg::Options:: "--force-confold";' "DPkg::Options:: \"--root=$root\";" \
    "DPkg::Pre-Install-Pkgs:: \"$hook\";" "DPkg::Tools::Options::$hook::Version \"3\";" 'Acquire::AllowInsecureRepositories "false";'; do
    grep -qxF -- "$line" <<<"$dump" || fail "apt-config does not show: $line"
done
[ "$(grep -c '^DPkg::Pre-Install-Pkgs:: ' <<<"$dump")" = 1 ] || fail "other hooks"
[ "$(grep -c 'Post-Invoke:: \|Pre-Invoke:: ' <<<"$dump")" = 0 ] || fail "hooks of the host"
"$tool" show apply "$set" "$root" "$run" - >"$work/answer" && fail "an empty plan is applied"

# Signatures count: another key, no signature, and what was signed before.
use -n internal -l "$internal"
repo_key other
repo_publish "$repo" --key other
"$tool" run refresh "$set" "$root" "$run" - >"$work/answer" 2>&1 || true
grep -q "NO_PUBKEY" "$work/answer" || fail "another key's signature is taken"
ask 0 1 0 -n internal -p nmap && answers "op install nmap amd64 - 7.93-1 internal section=net" "done 1" # the last good index
repo_publish "$repo" --unsigned
"$tool" run refresh "$set" "$root" "$run" - >"$work/answer" 2>&1 && fail "an unsigned repository is taken"
set=$work/set-unsigned
use -n free -u -l "deb file:$repo stable main"
ask 0 1 0 -n free -p nmap -o "$run/plan" && answers "op install nmap amd64 - 7.93-1 free section=net" "done 1"
"$tool" run fetch "$set" "$root" "$run" "$run/plan" >"$work/answer" 2>&1 || fail "nothing fetched from an unsigned source"
"$tool" run apply "$set" "$root" "$run" "$run/plan" >"$work/answer" 2>&1 || fail "nothing installed from an unsigned source"
[ "$(repo_root_version "$root" nmap)" = 7.93-1 ] || fail "nmap is not there"

# A version and a name with a plus at the end; a flat repository.
"$tool" config "$work/flat" "$root" "$hook" -n c -l "deb $sign http://three.example:80/x ./" >"$work/answer" || fail "flat"
repo_deb "$repo" plus++ 1.0+ && repo_publish "$repo"
set=$work/set-plus
use -n internal -l "$internal"
ask 0 1 0 -n internal -p plus++ -o "$run/plan" && answers "op install plus++ amd64 - 1.0+ internal section=misc" "done 1"
"$tool" run fetch "$set" "$root" "$run" "$run/plan" >"$work/answer" 2>&1 && "$tool" run apply "$set" "$root" "$run" "$run/plan" \
    >"$work/answer" 2>&1 || fail "plus++ 1.0+ is not installed"
[ "$(repo_root_version "$root" plus++)" = 1.0+ ] || fail "plus++ is not there"
ask 0 3 0 -p plus++ -o "$run/plan" && "$tool" run apply "$set" "$root" "$run" "$run/plan" >"$work/answer" 2>&1 || fail "plus++ is not removed"
repo_root_version "$root" plus++ >/dev/null && fail "plus++ is still there"

# A dpkg that was interrupted is repaired by the step for it.
repo_root_install "$root" "$repo"/pool/site-guard_*.deb
sed -i '/^Package: site-guard$/,/^$/s/^Status: .*/Status: install ok half-configured/' "$root/var/lib/dpkg/status"
"$tool" run repair "$set" "$root" "$run" - >"$work/answer" 2>&1 || fail "repair fails"
[ "$(repo_root_version "$root" site-guard)" = 4.1 ] || fail "site-guard is not repaired"
"$tool" run clean "$set" "$root" "$run" - >"$work/answer" 2>&1 || fail "clean fails"
[ -z "$(find "$set/archives" -name '*.deb')" ] || fail "archives are left"
TEST_USER='x;id' "$tool" show refresh "$set" "$root" "$run" - >"$work/answer" || fail "show"
grep -q PROVISO_USER "$work/answer" && fail "a name that a shell would run is passed on"
grep -qx "env PROVISO_UID=1001" "$work/answer" || fail "the requester's uid is not passed on"
[ "$checks" -ge 30 ] || fail "only $checks checks ran"
echo "ok, $checks checks"
