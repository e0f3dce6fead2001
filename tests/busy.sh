#!/bin/sh
# The tests beside busy neighbours: LOOPS processes (default 4) that do nothing but count. `make busy` calls it, after the set-up.
# The loops end with the tests, whichever way those end.
set -eu

python=${1:-.venv/bin/python}
jobs=${2:-2}
neighbours=""
for _ in $(seq "${LOOPS:-4}"); do
    sh -c 'while :; do :; done' &
    neighbours="$neighbours $!"
done
# shellcheck disable=SC2086 # one word for each of them
trap 'kill $neighbours' EXIT
trap 'exit 130' INT TERM
echo "· tests beside ${LOOPS:-4} busy loops"
PYTHONHASHSEED=0 "$python" -m pytest -n "$jobs" --dist loadfile --no-loadscope-reorder
