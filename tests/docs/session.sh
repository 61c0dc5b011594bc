#!/bin/bash
# The quickstart, run whole, and the sessions that pages show: session.sh PAGE...
#
# Each block ```console session of a page must stand in the quickstart's output, line for line and in order; a line `...`
# stands for any lines between. The quickstart itself fails where anything differs from what it claims.
set -euo pipefail
: "${PV_BUILD:?}" "${PV_ROOT:?}"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
NO_COLOR=1 "$PV_ROOT/examples/quickstart/run" --build "$PV_BUILD" >"$tmp/output" 2>&1 || { cat "$tmp/output"; exit 1; }
if grep -n '^qs-' /etc/passwd /etc/group; then echo "the quickstart left accounts behind"; exit 1; fi
[ "$(grep -c '  checked: ' "$tmp/output")" -ge 20 ] || { echo "the quickstart checked too little"; cat "$tmp/output"; exit 1; }

status=0 blocks=0
for page in "$@"; do
  awk -v out="$tmp/block" '/^```console session$/ { inside = 1; n++; next } /^```/ { inside = 0 } inside { print > (out n) }' "$page"
  for block in "$tmp"/block*; do
    [ -e "$block" ] || { echo "$page: no block shows a session"; exit 1; }
    blocks=$((blocks + 1))
    awk -v page="$page" '
      NR == FNR { line[++n] = $0; next }
      { want[++m] = $0 }
      # From want[i] and line[k] on; far is the first line wanted that was nowhere.
      function fits(i, k) {
        for (; i <= m; i++) {
          if (want[i] == "...") { for (; k <= n + 1; k++) if (fits(i + 1, k)) return 1; return 0 }
          if (k > n || line[k] != want[i]) { if (i > far) far = i; return 0 }
          k++
        }
        return 1
      }
      END {
        for (at = 1; at <= n; at++) if (fits(1, at)) exit 0
        print page ": the session has no such line here: " want[far]; exit 1
      }' "$tmp/output" "$block" || status=1
    rm "$block"
  done
done
echo "$blocks sessions compared"
exit $status
