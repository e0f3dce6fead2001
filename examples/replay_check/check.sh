#!/bin/sh
# The check of a pull request: what the handlers of this tree do with real changes, beside those of another revision.
#   ./check.sh REVISION SINCE
# Exit code 1: an effect differs; the groups that differ are printed.
set -u
failed=0
for handler in receipt; do
    tailrace replay "$handler" --since "$2" --app shop.py --stubs stubs.py --compare-with "$1" || failed=1
done
exit $failed
