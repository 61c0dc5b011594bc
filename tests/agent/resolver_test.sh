#!/bin/bash
# The resolver's answers against what the system's own tools say, and against requests that are none.
set -eu
tool=$PV_BUILD/tests/apt_tool resolver=$PV_BUILD/libexec/proviso-resolver
fail() { echo "FAIL: $*" >&2 && exit 1; }
[ "$(id -u)" = 0 ] || { echo "needs root" && exit 77; }
name=pvres$$ twin=pvtwin$$ group=pvgrp$$
trap 'userdel "$twin" 2>/dev/null || true; userdel "$name" 2>/dev/null || true; groupdel "$group" 2>/dev/null || true' EXIT
groupadd "$group"
useradd --no-create-home --shell /bin/sh --groups "$group,games" "$name"
uid=$(id -u "$name") gid=$(id -g "$name")

answer=$("$tool" resolve "$resolver" uid "$uid")
case $answer in "user $uid $gid $name home=/home/$name shell=/bin/sh $gid=$name "*) ;; *) fail "$answer" ;; esac
want=$(for g in $(id -G "$name"); do echo "$g=$(getent group "$g" | cut -d: -f1)"; done | sort)
got=$(tr ' ' '\n' <<<"$answer" | grep -E '^[0-9]+=' | sort)
[ "$want" = "$got" ] || fail "groups are $got and not $want"
answer=$("$tool" resolve "$resolver" uid 0)
case $answer in "user 0 0 root "*) ;; *) fail "$answer" ;; esac

[ "$("$tool" resolve "$resolver" name "$name" "$uid")" = "same 1 $uid" ] || fail "the name has its uid"
[ "$("$tool" resolve "$resolver" name "$name" 0)" = "same 0 $uid" ] || fail "the name does not have uid 0"
[ "$("$tool" resolve "$resolver" name "no$name" "$uid")" = "same 0 -1" ] || fail "no such name"

# Two names for one uid: only the one that the uid leads to is the user.
useradd --no-create-home --non-unique --uid "$uid" "$twin"
[ "$("$tool" resolve "$resolver" name "$twin" "$uid")" = "same 0 $uid" ] || fail "the second name counts"
[ "$("$tool" resolve "$resolver" name "$name" "$uid")" = "same 1 $uid" ] || fail "the first name no longer counts"

# A group that lost its name is kept by its number: a rule about that number must not miss it.
userdel "$twin"
sed -i "/^$name:/s/:$gid:/:64999:/" /etc/passwd
answer=$("$tool" resolve "$resolver" uid "$uid")
case $answer in "user $uid 64999 $name "*" 64999= "*) ;; *) fail "$answer" ;; esac
userdel "$name" 2>/dev/null || sed -i "/^$name:/d" /etc/passwd
groupdel "$name" 2>/dev/null || true

[ "$("$tool" resolve "$resolver" uid "$uid" | cut -c1-7)" = "error 1" ] || fail "a deleted user is resolved"
[ "$("$tool" resolve "$resolver" uid 4294967295 | cut -c1-7)" = "error 5" ] || fail "uid -1 is resolved"
[ "$("$tool" resolve "$resolver" name "a b" 1 | cut -c1-7)" = "error 5" ] || fail "a name with a space is looked up"
[ "$("$tool" resolve "$resolver" name "" 1 | cut -c1-7)" = "error 5" ] || fail "an empty name is looked up"
[ "$("$tool" resolve "$resolver" name "$(printf 'x%.0s' {1..300})" 1 | cut -c1-7)" = "error 5" ] || fail "a long name is looked up"
# Without a request, or as a program of its own, it ends.
timeout 5 "$resolver" 3</dev/null 2>/dev/null && fail "it runs on a descriptor that is no socket"
echo ok
