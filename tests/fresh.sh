#!/bin/sh
# A newcomer's machine: a clean clone of HEAD, an empty environment, a minimal PATH; then `make test` and `make demo`.
# What is not committed is not there, and neither is anything that this machine's environment says. Registries are
# found as pip's own configuration files say. Keeps nothing; the last line says whether it passed.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
python=$(command -v "$python")
clone=$(mktemp -d "${TMPDIR:-/tmp}/tailrace-fresh.XXXXXX")
trap 'rm -rf "$clone"' EXIT INT TERM
begun=$(date +%s)

say() { printf '\n=== %s (%s s)\n' "$1" "$(($(date +%s) - begun))"; }

say "a clean clone of $(git -C "$here" rev-parse --short HEAD)"
git clone --quiet --no-hardlinks "$here" "$clone/tailrace"
mkdir "$clone/home"
cd "$clone/tailrace"

# Only what a login gives. HOME is empty, but pip's per-user configuration may be what leads to the registry.
for configuration in "${HOME:-/nonexistent}/.config/pip/pip.conf" "${HOME:-/nonexistent}/.pip/pip.conf" "${PIP_CONFIG_FILE:-/nonexistent}"; do
    if [ -f "$configuration" ]; then
        mkdir -p "$clone/home/.config/pip"
        cp "$configuration" "$clone/home/.config/pip/pip.conf"
        break
    fi
done
fresh() { env -i HOME="$clone/home" PATH="$(dirname "$python"):/usr/bin:/bin" LANG=C.UTF-8 TERM=dumb "$@"; }

say "make test"
fresh make test PYTHON="$python"

say "make demo"
fresh make demo PYTHON="$python"

say "the clone is as it was"
test -z "$(git status --porcelain)" || { git status --short; exit 1; }
printf '\nfresh: passed in %s s\n' "$(($(date +%s) - begun))"
