#!/bin/bash
# Every shipped policy passes `check` without a warning that is an error, and has a file of tests beside it.
set -euo pipefail
cd "${PV_ROOT:?}/policies"
status=0
while read -r file; do
  case $file in *_test.policy) continue ;; esac
  [ -f "${file%.policy}_test.policy" ] || { echo "policies/$file has no ${file%.policy}_test.policy"; status=1; }
  "${PV_BUILD:?}/bin/proviso" check "$file" || status=1
done < <(find . -name '*.policy' | sort)
exit $status
