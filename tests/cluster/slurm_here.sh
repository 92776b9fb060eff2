#!/usr/bin/env bash
# A small Slurm of this machine alone, on loopback: slurm_here.sh start|stop FOLDER. Everything of it lies in FOLDER.
set -euo pipefail
action=$1 folder=$2
export SLURM_CONF="$folder/slurm.conf"

if [[ $action == stop ]]; then
    for name in slurmctld slurmd munged; do
        if [[ -f $folder/$name.pid ]]; then kill "$(cat "$folder/$name.pid")"; fi
    done
    exit 0
fi

mkdir -p "$folder"/{state,spool}
head -c 1024 /dev/urandom >"$folder/munge.key"
chmod 400 "$folder/munge.key"
munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" --pid-file="$folder/munged.pid" \
    --log-file="$folder/munged.log" --seed-file="$folder/munge.seed"

host=$(hostname -s)
cat >"$SLURM_CONF" <<END
ClusterName=here
SlurmctldHost=$host(127.0.0.1)
SlurmUser=$(id -un)
SlurmctldPort=16817
SlurmdPort=16818
AuthInfo=socket=$folder/munge.socket
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerParameters=requeue_delay=1
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
NodeName=$host NodeAddr=127.0.0.1 CPUs=4
PartitionName=all Nodes=$host Default=YES
END
slurmctld -c
slurmd
for _ in {1..30}; do
    [[ $(sinfo --noheader --format=%T) == idle ]] && exit 0
    sleep 1
done
tail -n 20 "$folder"/*.log
exit 1
