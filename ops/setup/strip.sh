#!/usr/bin/env bash
# Takes the symbols out of programs that cargo has linked and puts them into a file beside each (NAME.debug), where a
# backtrace of the program finds its lines. `strip = true` would throw them away, and rustc's own split keeps the lines
# in the program.
set -euo pipefail

for program in "$@"; do
    symbols=$program.debug
    # Cargo links the same file under deps/: it stays as it is, so that this can be done again at any time.
    sections=$(readelf --section-headers --wide "$program")
    case $sections in *.debug_line*) ;; *) continue ;; esac
    objcopy --only-keep-debug --compress-debug-sections=zlib "$program" "$symbols.new"
    mv "$symbols.new" "$symbols"
    objcopy --strip-all --add-gnu-debuglink="$symbols" "$program" "$program.new"
    chmod --reference="$program" "$program.new"
    mv "$program.new" "$program"
done
