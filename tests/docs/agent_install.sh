#!/bin/bash
# docs/agent.md, followed word for word in an overlay of this machine: its `sh install` blocks as root, in order, then its
# `sh user` block as an ordinary user. What changes, changes in the overlay and goes with it.
set -euo pipefail
: "${PV_ROOT:?}"
page=$PV_ROOT/docs/agent.md
if [ -z "${IN_OVERLAY-}" ]; then
  # Where / is no mount of its own (a chroot), its propagation cannot be changed, and need not be.
  propagation=private
  unshare --mount true 2>/dev/null || propagation=unchanged
  base=$(mktemp -d)
  trap 'rmdir "$base"' EXIT
  IN_OVERLAY=$base unshare --mount --propagation "$propagation" --pid --fork --kill-child "$0"
  exit
fi
base=$IN_OVERLAY
mount -t tmpfs -o mode=755 overlay "$base"
mkdir "$base"/{upper,work,machine}
mount -t overlay overlay -o "lowerdir=/,upperdir=$base/upper,workdir=$base/work" "$base/machine"
for dir in dev run tmp; do mount -t tmpfs -o mode=755 "$dir" "$base/machine/$dir"; done
chmod 1777 "$base/machine/tmp"
mount -t proc proc "$base/machine/proc"
for node in null zero full random urandom; do touch "$base/machine/dev/$node"; mount --bind "/dev/$node" "$base/machine/dev/$node"; done
ln -s /proc/self/fd "$base/machine/dev/fd"

blocks() { awk -v want="\`\`\`sh $1" '$0 == want { inside = 1; next } /^```/ { inside = 0 } inside' "$page"; }
blocks install >"$base/machine/tmp/install.sh"
blocks user >"$base/machine/tmp/user.sh"
[ "$(wc -l <"$base/machine/tmp/install.sh")" -gt 15 ] && [ -s "$base/machine/tmp/user.sh" ] || { echo "the page has no such blocks"; exit 1; }
chroot "$base/machine" useradd --create-home --shell /bin/sh pv-doc-user

inside() { chroot "$base/machine" /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 "$@"; }
inside sh -c "cd '$PV_ROOT' && sh -eux /tmp/install.sh" >"$base/install.log" 2>&1 || { tail -n 40 "$base/install.log"; echo "agent.md: its steps fail"; exit 1; }
inside runuser -u pv-doc-user -- env PATH=/usr/local/bin:/usr/bin:/bin sh -eux /tmp/user.sh >"$base/user.log" 2>&1 || { cat "$base/user.log"; echo "agent.md: a user's steps fail"; exit 1; }
cat "$base/user.log"
grep -q 'policy self-service version 1' "$base/user.log"
grep -q 'self-service (self-service.policy:' "$base/user.log"
# The site's repository is not there: the request is answered, nothing is installed, and it is on record.
grep -Eq '^exit (70|77|78)$' "$base/user.log"

inside proviso audit verify
