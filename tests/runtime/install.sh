#!/bin/bash
# The installed library as others use it: by pkg-config, and by CMake's find_package(), from a directory of its own.
set -euo pipefail
cd "${PV_ROOT:?}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$PV_BUILD" --component runtime --prefix "$work/prefix" >"$work/log" || { cat "$work/log"; exit 1; }

cat >"$work/main.c" <<'C'
#include "runtime/proviso.h"
#include "runtime/bundle.h"
int main(void)
{
    struct pv_bundle *bundle;
    struct pv_error error;
    static const uint64_t junk[4];
    if (pv_bundle_load(&bundle, junk, sizeof(junk), NULL, &error) != PV_E_BUNDLE)
        return 1;
    return pv_version_compare(PV_ORDER_DPKG, "1.0~rc1", 7, "1.0", 3) < 0 ? 0 : 2;
}
C
pc=$(find "$work/prefix" -name proviso.pc)
[ -n "$pc" ] || { echo "no proviso.pc was installed"; exit 1; }
export PKG_CONFIG_PATH=${pc%/*}
# shellcheck disable=SC2046  # word splitting is wanted
cc -std=c17 -Wall -Wextra -Werror "$work/main.c" -o "$work/by_pkg_config" $(pkg-config --define-variable=prefix="$work/prefix" --cflags --libs proviso)
LD_LIBRARY_PATH=$(pkg-config --define-variable=prefix="$work/prefix" --variable=libdir proviso) "$work/by_pkg_config"

cat >"$work/CMakeLists.txt" <<'C'
cmake_minimum_required(VERSION 3.25)
project(consumer C)
find_package(proviso 0.1 REQUIRED CONFIG)
add_executable(shared main.c)
target_link_libraries(shared proviso::proviso)
add_executable(static main.c)
target_link_libraries(static proviso::proviso-static)
C
cmake -S "$work" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" >"$work/log" 2>&1 && cmake --build "$work/build" >>"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
"$work/build/shared"
"$work/build/static"
