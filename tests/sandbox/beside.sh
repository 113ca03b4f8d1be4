#!/usr/bin/env bash
# Runs a cargo command side by side with the build of the sandbox's programs from Go (see build.sh): on a fresh machine
# both take minutes. Says in one sentence what is missing before either begins.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
fail() { printf 'make: %s\n' "$*" >&2; exit 1; }

command -v cargo >/dev/null || fail "cargo is missing. Install Rust 1.95 or newer (https://rustup.rs), then run the same command again."
command -v cc >/dev/null || fail "cc is missing: Rust needs a C compiler to link (apt-get install gcc, or xcode-select --install), then run the same command again."
"$here/build.sh" --check

"$here/build.sh" >/dev/null &
go_build=$!
trap 'kill $go_build 2>/dev/null || true' EXIT

"$@"
wait $go_build || fail "the sandbox's programs could not be built; the lines that begin with 'sandbox:' say why."
trap - EXIT
