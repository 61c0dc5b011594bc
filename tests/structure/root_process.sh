#!/bin/bash
# The root process holds no compiler, no parser of untrusted text and no database: no such symbol is defined in, or wanted
# by, the monitor; nor does it load such a library. The same look at `proviso`, which has them all, must find them.
set -euo pipefail
: "${PV_BUILD:?}"
forbidden='json_|jansson|sqlite3|pv_lex|pv_parse|pv_sema|pv_emit|pv_compile|pv_ast|PolicyParse|yyparse|pv_diag'

symbols() {
  nm "$1" | awk '{print $NF}' | sort -u
}
libraries() {
  objdump -p "$1" | awk '$1 == "NEEDED" {print $2}'
}

found=$(symbols "$PV_BUILD/bin/proviso" | grep -cE "$forbidden" || true)
[ "$found" -gt 20 ] || { echo "the check finds only $found such symbols in proviso: it sees too little"; exit 1; }

status=0
for program in bin/provisod libexec/proviso-launch libexec/proviso-runner; do
  bad=$(symbols "$PV_BUILD/$program" | grep -E "$forbidden" || true)
  [ -z "$bad" ] || { printf '%s has symbols that must not be in a root process:\n%s\n' "$program" "$bad"; status=1; }
  bad=$(libraries "$PV_BUILD/$program" | grep -vE '^(libc|libsodium|ld-linux.*|libm|libgcc_s|libpthread|lib(a|ub|t)san|libclang_rt.*)\.so' || true)
  [ -z "$bad" ] || { printf '%s needs libraries that must not be in a root process:\n%s\n' "$program" "$bad"; status=1; }
done
exit $status
