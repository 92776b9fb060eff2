#!/usr/bin/env bash
# Cloud TPU VMs: the same script on all workers of a slice; jax finds the others by itself.
#
#   gcloud compute tpus tpu-vm scp launch/tpu_vm.sh my_config.py NAME: --worker=all --zone=ZONE
#   gcloud compute tpus tpu-vm ssh NAME --worker=all --zone=ZONE \
#       --command='bash tpu_vm.sh my_config.py --workdir=/shared/runs/mine'
#
# /shared is a disk that all workers have mounted (Filestore). A run that was asked to end (143) or has failed is started
# again, at most RESTARTS times; it goes on from its last checkpoint. After a preemption of the whole slice, run the
# second command again.
set -uo pipefail
read -r -a command <<<"${TLJAX:-tljax}"

for ((start = 0; start <= ${RESTARTS:-5}; start++)); do
    "${command[@]}" train "$@"
    code=$?
    # 2 to 4: the command line, the data or the weights do not fit. To start again does not help.
    if ((code == 0 || (code >= 2 && code <= 4))); then
        exit "$code"
    fi
    echo "ended with $code; start again in 10 s" >&2
    sleep 10
done
exit "$code"
