#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-only

# Builds one image where ESP-IDF is sourced: build.sh BOARD VARIANT MICROPYTHON INTO
# Called by make.py, in a container or not, after the firmware was built.
set -euo pipefail
cd "$(dirname "$0")/../../.."
board=$1 variant=$2 version=$3 into=$4
source=$PWD/build/image/micropython-$version

if [ ! -d "$source" ]; then
  rm -rf "$source.new"
  git clone --quiet --depth 1 --branch "v$version" \
    https://github.com/micropython/micropython "$source.new"
  mv "$source.new" "$source"
fi
make --directory="$source/mpy-cross"
export MPY_CROSS=$source/mpy-cross/build/mpy-cross
export MICROPY_MPYCROSS=$PWD/tools/device/mpy_cross.sh

port=(make --directory="$source/ports/esp32" "BOARD_DIR=$PWD/tools/device/image/$board"
  "BOARD_VARIANT=$variant" "BUILD=$PWD/$into")
"${port[@]}" submodules
"${port[@]}" all
