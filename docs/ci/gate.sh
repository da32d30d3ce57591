#!/usr/bin/env bash
# Runs a benchmark and holds it against a baseline. Exits with 0 (green), with 4 (yellow: too few samples to tell),
# or with what the gate or the run said (red). Arguments go to `evalkit run`.
#
#   evalkit baseline save runs/main baseline.json.gz       # once, for every version that others are held against
#   BASELINE=baseline.json.gz docs/ci/gate.sh --model metis-nano --tasks panel_probe --limit 600
set -euo pipefail

baseline=${BASELINE:?the run folder or archived baseline to hold the run against}
out=${OUT:-gate}

# errors of an engine beyond 1 % end the script here, with 3: nothing was said about the agent
evalkit run "$@" --run-dir "$out/run"

code=0
evalkit gate "$out/run" --baseline "$baseline" \
  --junit "$out/gate.xml" --md "$out/gate.md" --json "$out/gate.json" || code=$?

case $code in
  0) echo "green: not worse" ;;
  1) echo "red: worse than $baseline" ;;
  4) echo "yellow: too few samples to tell; $out/gate.json says how many would do" ;;
  *) echo "red: not decided, because the gate could not be held (exit code $code)" ;;
esac
exit "$code"
