#!/bin/bash
#SBATCH --job-name=evalkit-ray
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --exclusive
#SBATCH --time=02:00:00
#SBATCH --output=evalkit-ray-%j.log
#
# One run on a Ray cluster that lives as long as this job: a head on the first node, a worker on each other one.
#
#   export MODEL=metis TASKS=vstar,hrbench_4k RUNS=/shared/runs
#   sbatch slurm-ray.sh
#
# Every node needs the same Python environment with 'evalkit[vllm,ray]'. The same command goes on with a run that
# was cut off.
set -euo pipefail

: "${MODEL:?a model card or a folder of weights}" "${TASKS:?benchmarks, e.g. vstar,hrbench_4k}" "${RUNS:?a shared folder}"
GPUS=${SLURM_GPUS_ON_NODE:-8}
PORT=${PORT:-6379}

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
ip=$(srun --nodes=1 --ntasks=1 --overlap -w "$head" hostname --ip-address | awk '{print $1}')

# whoever reaches a Ray port may run code: a token of this job's own, in a file that only its owner reads
umask 077
RAY_AUTH_TOKEN_PATH=$(mktemp -p "$RUNS" .ray-token-XXXXXX)
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH
trap 'rm -f "$RAY_AUTH_TOKEN_PATH"; kill $(jobs -p) 2>/dev/null || true' EXIT
python -c 'import secrets; print(secrets.token_hex(32), end="")' >"$RAY_AUTH_TOKEN_PATH"
export RAY_TMPDIR=/tmp/ray-$SLURM_JOB_ID RAY_USAGE_STATS_ENABLED=0

start() { # node, options of ray start
    local node=$1
    shift
    srun --nodes=1 --ntasks=1 --overlap --gpus-per-node="$GPUS" -w "$node" \
        ray start --block --num-gpus="$GPUS" --num-cpus="$SLURM_CPUS_PER_TASK" --disable-usage-stats "$@" &
}

start "$head" --head --node-ip-address="$ip" --port="$PORT" --include-dashboard=false
up() { srun --nodes=1 --ntasks=1 --overlap -w "$head" ray health-check --address "$ip:$PORT" 2>/dev/null; }
for ((tries = 1; ; tries++)); do
    up && break
    # the job of the head's srun is gone: ray start has said why
    [[ $tries -lt 60 && -n $(jobs -rp) ]] || { echo "Ray's head on $head did not come up" >&2; exit 1; }
    sleep 2
done
for node in "${nodes[@]:1}"; do
    start "$node" --address="$ip:$PORT"
done
# replicas go only where machines are; evalkit itself says what is missing
joined() { srun --nodes=1 --ntasks=1 --overlap -w "$head" ray status --address "$ip:$PORT" 2>/dev/null | grep -c ' node_'; }
for ((tries = 1; tries < 60; tries++)); do
    [[ $(joined) -ge ${#nodes[@]} ]] && break
    sleep 2
done

replicas=$((${#nodes[@]} * GPUS / ${TENSOR_PARALLEL:-1}))
split=()
[[ -z ${TENSOR_PARALLEL:-} ]] || split=(--tensor-parallel "$TENSOR_PARALLEL")
status=0
# on the head's node, because Ray wants the driver on a node of the cluster
srun --nodes=1 --ntasks=1 --overlap -w "$head" \
    evalkit run --model "$MODEL" --engine "${ENGINE:-vllm}" "${split[@]}" --tasks "$TASKS" \
    --ray "$ip:$PORT" --replicas "$replicas" --concurrency 64 --out "$RUNS" || status=$?
exit "$status"
