#!/usr/bin/env bash
# Builds the sandbox's programs from Go modules, once, into a folder outside the
# repository that is named after what it is built from, and prints that folder.
# Progress goes to standard error. Nothing is done when all is built already, nor with --check, which only looks for Go.
set -euo pipefail

kubernetes=1.36.4 kwok=0.8.0 helm=4.2.4 alertmanager=0.34.2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

say() { printf 'sandbox: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

command -v go >/dev/null || fail "Go is missing. Install Go 1.26 or newer (https://go.dev/dl), then run the same command again."
go_version=$(GOTOOLCHAIN=local go env GOVERSION)
case $go_version in
  go1.2[6-9]*|go1.[3-9][0-9]*|go[2-9]*) ;;
  *) fail "Go is too old: this is $go_version, Kubernetes $kubernetes needs go1.26 or newer (https://go.dev/dl)." ;;
esac
if [ "${1-}" = --check ]; then
  exit 0
fi

sources=$(cd "$here/controlplane" && cat go.mod go.sum ./*.go | (sha256sum 2>/dev/null || shasum -a 256) | cut -c1-12)
cache=${FIRSTAID_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/firstaid}
folder=$cache/sandbox-$kubernetes-$kwok-$helm-$alertmanager-$sources
if [ -e "$folder/complete" ]; then
  echo "$folder"
  exit 0
fi

mkdir -p "$folder"
if command -v flock >/dev/null; then
  exec 9>"$folder/lock"
  flock 9 # two builds at once: the second one waits and finds all done
  if [ -e "$folder/complete" ]; then
    echo "$folder"
    exit 0
  fi
fi

export CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=-mod=mod
version=k8s.io/component-base/version client=k8s.io/client-go/pkg/version
stamp="-s -w"
for package in $version $client; do
  stamp+=" -X $package.gitVersion=v$kubernetes -X $package.gitMajor=1 -X $package.gitMinor=36 -X $package.gitTreeState=clean"
done

started=$SECONDS
# Its `sleep` outlives it for a moment and must hold neither the lock nor what our caller reads.
(while sleep 20 >/dev/null 2>&1 9>&-; do say "still building after $((SECONDS - started)) s"; done) &
ticker=$!
trap 'kill $ticker 2>/dev/null' EXIT

say "building a real control plane: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubectl $kubernetes"
say "this happens once; it usually takes 5 minutes on 2 cores (1 of 4)"
(cd "$here/controlplane" && GOFLAGS=-mod=readonly go build -trimpath -ldflags "$stamp" -o "$folder/controlplane" .)

say "building KWOK $kwok, usually 1.5 minutes (2 of 4)"
(cd "$folder" && GOBIN="$folder" go install -trimpath -ldflags "-s -w" "sigs.k8s.io/kwok/cmd/kwok@v$kwok")
modules=$(go env GOMODCACHE)/sigs.k8s.io/kwok@v$kwok/kustomize/stage
# The bare kwok binary has no stages of its own: these make nodes ready, run pods and delete them.
: >"$folder/stages.yaml"
for stage in node/fast/node-initialize node/heartbeat-with-lease/node-heartbeat-with-lease pod/fast/pod-ready pod/fast/pod-complete pod/fast/pod-delete; do
  cat "$modules/$stage.yaml" >>"$folder/stages.yaml"
  printf '\n---\n' >>"$folder/stages.yaml"
done

say "building helm $helm, usually 1.5 minutes (3 of 4)"
(cd "$folder" && GOBIN="$folder" go install -trimpath -ldflags "-s -w" "helm.sh/helm/v4/cmd/helm@v$helm")

say "building Alertmanager $alertmanager, usually 1.5 minutes (4 of 4)"
# Its module embeds the files of its web page, and does not contain them: a copy gets a page of its own.
copy=$(mktemp -d)
trap 'kill $ticker 2>/dev/null; rm -rf "$copy"' EXIT
(cd "$copy" && go mod download "github.com/prometheus/alertmanager@v$alertmanager")
cp -R "$(go env GOMODCACHE)/github.com/prometheus/alertmanager@v$alertmanager/." "$copy"
chmod -R u+w "$copy"
mkdir -p "$copy/ui/app/dist"
echo "no web page in the sandbox" >"$copy/ui/app/dist/index.html"
(cd "$copy" && go build -trimpath -ldflags "-s -w" -o "$folder/alertmanager" ./cmd/alertmanager)

ln -sf controlplane "$folder/kubectl"
touch "$folder/complete"
say "built in $((SECONDS - started)) s, kept in $folder"
echo "$folder"
