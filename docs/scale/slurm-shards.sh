#!/bin/bash
# A run in shards: one array task a GPU, no cluster between them, then one job that puts them together.
#
#   MODEL=metis TASKS=hrbench_4k RUNS=/shared/runs/hr4k bash slurm-shards.sh
#
# The folder RUNS must be seen by every node. Run again after a failure: shards that are done are passed over in
# seconds, the others go on where they stopped.
set -euo pipefail

: "${MODEL:?a model card or a folder of weights}" "${TASKS:?one benchmark, e.g. hrbench_4k}" "${RUNS:?a shared folder}"
SHARDS=${SHARDS:-8}
ME=$(realpath "$0")

if [[ ${1:-} == shard ]]; then
    n=${SLURM_ARRAY_TASK_ID:?runs as an array task}
    # the sandbox' sessions and temporary files belong on the node, not on the shared file system
    export TMPDIR=${SLURM_TMPDIR:-/tmp}
    # exec: Slurm's SIGTERM, sent before a time limit, reaches evalkit itself, which stores all that is finished
    exec evalkit run --model "$MODEL" --engine "${ENGINE:-vllm}" --tasks "$TASKS" --concurrency 64 \
        --shard "$n/$SHARDS" --run-dir "$RUNS/shard-$n"
fi

if [[ ${1:-} == merge ]]; then
    shards=()
    for ((n = 1; n <= SHARDS; n++)); do shards+=("$RUNS/shard-$n"); done
    exec evalkit merge "${shards[@]}" --run-dir "$RUNS/whole"
fi

mkdir -p "$RUNS/logs"
export MODEL TASKS RUNS SHARDS
array=$(
    sbatch --parsable --job-name=evalkit --array="1-$SHARDS" --gpus=1 --cpus-per-task=8 --mem=64G --time=02:00:00 \
        --signal=B:TERM@120 --requeue --output="$RUNS/logs/%A_%a.log" --export=ALL "$ME" shard
)
# afterok: a shard that ended with another exit code than 0 leaves nothing to merge
sbatch --job-name=evalkit-merge --kill-on-invalid-dep=yes --dependency="afterok:${array%%;*}" --cpus-per-task=2 --mem=8G --time=00:30:00 \
    --output="$RUNS/logs/merge.log" --export=ALL "$ME" merge
