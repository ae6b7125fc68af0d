#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-only

# Makes sure that the programs the tests drive are there: tools/apt.sh PROGRAM[:PACKAGE]...
# A missing one is installed as the Debian package of the same name, or PACKAGE, by root or through
# sudo.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

missing() {
  for program in "$@"; do
    command -v "${program%:*}" >/dev/null || echo "${program#*:}"
  done
}

mapfile -t packages < <(missing "$@")
[ ${#packages[@]} -gt 0 ] || exit 0

fail() {
  echo "The tests need ${packages[*]}, and $1. Install it, then run this again." >&2
  exit 1
}

command -v apt-get >/dev/null || fail "there is no apt-get here"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || fail "apt-get needs root or sudo"
  as_root=(sudo)
fi
# Another apt-get may be at work.
install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes
  --option DPkg::Lock::Timeout=300)
if ! { "${install[@]}" update &&
  "${install[@]}" install --no-install-recommends "${packages[@]}"; }; then
  fail "apt-get could not install it"
fi
[ -z "$(missing "$@")" ] || fail "the package did not bring the program"
