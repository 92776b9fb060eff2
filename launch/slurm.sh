#!/usr/bin/env bash
# One run on one node or on several, which goes on by itself after a preemption or a time limit:
#
#   sbatch launch/slurm.sh my_config.py --workdir=/shared/runs/mine                # one node
#   sbatch --nodes=4 --gpus-per-node=8 launch/slurm.sh my_config.py --workdir=/shared/runs/mine
#
# The folder of the run must be on a disk that all nodes share. TLJAX names another command than tljax.
#SBATCH --job-name=tljax
#SBATCH --ntasks-per-node=1
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.out
#SBATCH --signal=TERM@120
# One process a node computes on all of its GPUs. 120 s before the time limit all save and exit with 143.

set -uo pipefail
read -r -a command <<<"${TLJAX:-tljax}"

srun "${command[@]}" train "$@"
code=$?

# 143: ended by SIGTERM, and saved. Where Slurm preempts, it requeues the job itself; a time limit it leaves to us.
if [[ $code -eq 143 ]]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
