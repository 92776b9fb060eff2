#!/usr/bin/env bash
# A suite as an array: every row with every seed is a task of its own.
#
#   sbatch --array=0-5 launch/slurm_array.sh my_suite.py /shared/runs/suite "full head_only" "0 1 2"
#   tljax table /shared/runs/suite            # when they have ended: one table
#
# The rows stand in config.suite.rows. 2 rows times 3 seeds are 6 tasks. A row that fails does not stop the others; the
# same sbatch again does what is missing, and a finished run answers from its folder. Flags may follow the seeds.
# Where the suite has a first run: `tljax train my_suite.py --config.suite.only=first --workdir ...` before the array.
#SBATCH --job-name=tljax-suite
#SBATCH --ntasks=1
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%A_%a.out
#SBATCH --signal=TERM@120

set -uo pipefail
read -r -a command <<<"${TLJAX:-tljax}"
config=$1 folder=$2
read -r -a rows <<<"$3"
read -r -a seeds <<<"$4"
shift 4

number=$SLURM_ARRAY_TASK_ID
if ((number >= ${#rows[@]} * ${#seeds[@]})); then
    echo "error: task $number, and there are ${#rows[@]} rows x ${#seeds[@]} seeds: --array=0-$((${#rows[@]} * ${#seeds[@]} - 1))" >&2
    exit 2
fi
row=${rows[number % ${#rows[@]}]} seed=${seeds[number / ${#rows[@]}]}
if [[ $folder == *://* ]]; then
    folder=$folder/$row-seed$seed # in an object store a folder is one job's; `tljax table` looks below
fi

srun "${command[@]}" train "$config" --config.suite.only="$row" --config.suite.seeds="($seed,)" --workdir="$folder" "$@"
code=$?
if [[ $code -eq 143 ]]; then
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
fi
exit "$code"
