#!/bin/bash
# Runs frontend_test and holds every message that the front end sent in it against the protocol's page and schema.
#   frontend_test.sh FRONTEND_TEST PROVISO_FRONTEND
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
root=$(cd "$(dirname "$0")/../.." && pwd)
"$1" "$2" "$dir/record"
if [ "$(id -u)" -eq 0 ]; then
    "$root/tests/agent/protocol_test.py" "$root" "$dir/record"
else
    "$root/tests/agent/protocol_test.py" "$root"
fi
