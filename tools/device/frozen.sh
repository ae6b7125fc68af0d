#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-only

# Builds for `make memory`: build/frozen/micropython32.run and 64, the unix port with all frozen into
# it that image/manifest.py names, and what measures it. After `make build`.
#
# The source is Debian's package, whose signature apt checks; nothing of it is installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
VERSION=1.25.0+ds-1
SUITE=trixie
WORK=$PWD/build/frozen
SOURCE=$WORK/micropython-$VERSION

tools/apt.sh i686-linux-gnu-gcc:crossbuild-essential-i386 make dpkg-source:dpkg-dev
mkdir -p "$WORK/lists/partial" "$WORK/cache"

fetch() {
  # shellcheck disable=SC2016 # it is apt that puts the address in
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep '/debian/$' |
    head --lines=1) || { echo "frozen.sh: apt knows no Debian mirror" >&2; exit 1; }
  echo "deb-src $mirror $SUITE main" >"$WORK/sources.list"
  apt=(--quiet --quiet --option "Dir::Etc::SourceList=$WORK/sources.list"
    --option Dir::Etc::SourceParts=/dev/null --option "Dir::State::Lists=$WORK/lists"
    --option "Dir::Cache=$WORK/cache" --option APT::Sandbox::User=root)
  apt-get "${apt[@]}" update
  (cd "$WORK" && apt-get "${apt[@]}" source --download-only "micropython=$VERSION")
  dpkg-source --no-check --extract "$WORK/micropython_$VERSION.dsc" "$SOURCE" >"$WORK/log"
}

[ -d "$SOURCE" ] || fetch
mpy_cross=$PWD/tools/device/mpy_cross.sh

build() {
  make --directory="$SOURCE/ports/unix" --jobs=2 "BUILD=$WORK/$1" "PROG=$1" MPY_CROSS_FLAGS="$2" \
    CROSS_COMPILE="$3" LDFLAGS_EXTRA="$4" MICROPY_PY_FFI=0 MICROPY_PY_SSL=0 MICROPY_PY_BTREE=0 \
    MICROPY_PY_THREAD=0 MICROPY_USE_READLINE=0 FROZEN_MANIFEST="$PWD/tools/device/freeze32.py" \
    MICROPY_MPYCROSS="$mpy_cross" MICROPY_MPYCROSS_DEPENDENCY="$mpy_cross" >"$WORK/log" 2>&1 ||
    { tail --lines=30 "$WORK/log" >&2; exit 1; }
  cp "$WORK/$1/$1" "$WORK/$1.run"
}

build micropython32 -march=x86 i686-linux-gnu- -static
build micropython64 -march=x64 "" ""
