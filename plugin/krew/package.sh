#!/bin/sh
# Packs the plugin for Krew: package.sh BINARY OS ARCH FOLDER
# It writes FOLDER/kubectl-firstaid-OS-ARCH.tar.gz, with the licence beside the program, and prints its digest for
# plugin/krew/firstaid.yaml. The same program gives the same archive.
set -eu
[ $# -eq 4 ] || { echo "usage: $0 BINARY OS ARCH FOLDER" >&2; exit 2; }
here=$(cd "$(dirname "$0")/../.." && pwd)
archive="$4/kubectl-firstaid-$2-$3.tar.gz"
beside=$(mktemp -d)
trap 'rm -rf "$beside"' EXIT
cp "$1" "$beside/kubectl-firstaid"
cp "$here/LICENSE" "$beside/LICENSE"
chmod 755 "$beside/kubectl-firstaid"
chmod 644 "$beside/LICENSE"
tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$beside" -cf - LICENSE kubectl-firstaid | gzip -n > "$archive"
sha256sum "$archive" | cut -d' ' -f1
