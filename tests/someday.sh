#!/bin/sh
# The tests on another day: the same commands of pytest, each process of them told by libfaketime that it is so many days later (DAYS, default 400).
# The monotonic clock is left alone: time passes as it does, from another day on. `make someday` calls it, after the set-up.
set -eu

days=${DAYS:-400}
python=${1:-.venv/bin/python}
jobs=${2:-2}

if ! command -v faketime >/dev/null; then
    echo "· set-up: faketime (Debian's package)"
    if ! { apt-get update -qq && apt-get install -y -qq faketime; } >/dev/null 2>&1; then
        echo "someday: faketime is not here and could not be installed; next: apt-get install faketime, as root, or your system's package of libfaketime" >&2
        exit 1
    fi
fi

# Without the second, libfaketime lets every timed wait of a thread for the interpreter return at once: threads then do little but take turns.
export FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_FORCE_MONOTONIC_FIX=0 PYTHONHASHSEED=0
printf '· tests on %s\n' "$(faketime -f "+${days}d" date)"
# Import contracts, lint and types read no clock. The demo begins at the time of its flights, and is seen to do so.
faketime -f "+${days}d" "$python" -m pytest -n "$jobs" --dist loadfile --no-loadscope-reorder
echo "· demo"
faketime -f "+${days}d" "$python" -m tailrace demo
