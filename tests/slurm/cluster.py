"""A SLURM cluster of one node on this machine, for the tests: ``python tests/slurm/cluster.py start`` and ``stop``.

It runs the real daemons of Debian's packages slurm-wlm and munge on loopback ports of its own, without an accounting
database. Its configuration is in SLURM's default place, because the executor plugin drops the variable SLURM_CONF.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CONFIG = Path("/etc/slurm/slurm.conf")
HOME = Path("/run/ecogpipe-slurm")
LOCK = Path("/run/ecogpipe-slurm.lock")
MARK = "# Written by the tests of ecogpipe for a cluster of one node; `tests/slurm/cluster.py stop` removes it.\n"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol")
DAEMONS = ("slurmd", "slurmctld", "munged")  # in the order of the stop
TASK_PROLOG = f"""#!/bin/sh
mkdir -p {HOME}/tmp/$SLURM_JOB_ID
echo export TMPDIR={HOME}/tmp/$SLURM_JOB_ID
"""
PATIENCE = 30  # seconds that a daemon has to answer or to end
CORES = 4  # more than some machines have: the jobs of two recordings go side by side


class ClusterError(Exception):
    """The cluster cannot be started here; the message says why."""


def start() -> None:
    """Start the cluster where it does not run yet, and wait until its node takes jobs."""
    refuse_what_cannot_work()
    if is_idle():
        return
    stop()
    for folder in ("state", "spool", "tmp"):
        (HOME / folder).mkdir(parents=True)
    HOME.chmod(0o755)  # munge refuses a folder that others may write to
    CONFIG.parent.mkdir(parents=True, exist_ok=True)
    CONFIG.write_text(MARK + configuration())
    key = HOME / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(128))
    run("munged", f"--key-file={key}", *(f"--{what}-file={HOME}/munged.{what}" for what in ("pid", "log", "seed")),
        f"--socket={HOME}/munge.socket")  # fmt: skip
    prolog = HOME / "task_prolog"
    prolog.write_text(TASK_PROLOG)
    prolog.chmod(0o755)
    run("slurmctld", "-c")
    run("slurmd", "-c", "-N", "localhost")
    wait_for(is_idle, f"the node does not become idle; see the logs in {HOME}.")


def stop() -> None:
    """End the daemons of the cluster, and all jobs, and remove its files; fine where nothing runs."""
    if is_idle():
        subprocess.run(["scancel", "--full", "--signal=KILL", "--user=root"], check=False, timeout=PATIENCE)
        wait_for(lambda: not answer("squeue", "--noheader"), "jobs do not end after scancel.")
    for daemon in DAEMONS:
        end(daemon)
    shutil.rmtree(HOME, ignore_errors=True)
    if CONFIG.is_file() and CONFIG.read_text().startswith(MARK):
        CONFIG.unlink()


@contextmanager
def running_cluster() -> Iterator[None]:
    """Start the cluster, keep it from other users of this script on this machine, and stop it in the end."""
    refuse_what_cannot_work()
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        start()
        try:
            yield
        finally:
            stop()


def refuse_what_cannot_work() -> None:
    """Raise a ClusterError where the daemons cannot run, or where a cluster of somebody else would be disturbed."""
    absent = [program for program in PROGRAMS if shutil.which(program, path=search_path()) is None]
    if absent:
        raise ClusterError(
            f"SLURM is not installed here ({', '.join(absent)} not found); apt-get install slurm-wlm munge brings it."
        )
    if os.geteuid() != 0:
        raise ClusterError(
            "the daemons of SLURM have to be started by root; run the tests as root, or leave these out."
        )
    if CONFIG.is_file() and not CONFIG.read_text().startswith(MARK):
        raise ClusterError(f"{CONFIG} is not of this script: the machine belongs to a cluster, which is left alone.")


def configuration() -> str:
    """Return the text of slurm.conf."""
    megabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return f"""\
ClusterName=ecogpipe
# One machine, whatever its name: everything listens on the loopback interface, on ports of its own.
SlurmctldHost=localhost
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPort=26817
SlurmdPort=26818
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={HOME}/munge.socket
CredType=cred/munge
StateSaveLocation={HOME}/state
SlurmdSpoolDir={HOME}/spool
SlurmctldPidFile={HOME}/slurmctld.pid
SlurmdPidFile={HOME}/slurmd.pid
SlurmctldLogFile={HOME}/slurmctld.log
SlurmdLogFile={HOME}/slurmd.log
# No cgroups: they are not there in every container.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
# Cores and memory are what jobs compete for; a job that holds more memory than it asked for is killed within a second.
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherParams=OverMemoryKill
JobAcctGatherFrequency=1
# As on small clusters: no database. Finished jobs are remembered for an hour, so that the tests can look at them.
AccountingStorageType=accounting_storage/none
MinJobAge=3600
# As on many clusters: each job has a temporary folder of its own.
TaskProlog={HOME}/task_prolog
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_min_interval=100000
KillWait=5
NodeName=localhost CPUs={CORES} RealMemory={megabytes * 9 // 10} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def search_path() -> str:
    """Return PATH with the folders of the daemons, which are not in everybody's."""
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def run(program: str, *arguments: str) -> None:
    """Run a program that must succeed."""
    done = subprocess.run(
        [program, *arguments],
        env={**os.environ, "PATH": search_path()},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    if done.returncode != 0:
        raise ClusterError(f"{program} did not start: {(done.stderr or done.stdout).strip()} (logs: {HOME})")


def answer(*command: str) -> str:
    """Return what a program of SLURM says; nothing where it fails or the cluster does not answer."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def is_idle() -> bool:
    """Tell whether our cluster runs and its node takes jobs."""
    ours = CONFIG.is_file() and CONFIG.read_text() == MARK + configuration()
    alive = ours and all(process_of(daemon) for daemon in DAEMONS)
    return bool(alive) and answer("sinfo", "--noheader", "--format=%T") in {"idle", "mixed", "allocated"}


def process_of(daemon: str) -> int | None:
    """Return the process number of a daemon of ours that runs."""
    try:
        pid = int((HOME / f"{daemon}.pid").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()  # empty where it has ended and nobody asked how
    except (OSError, ValueError):
        return None
    return pid if daemon.encode() in command else None


def end(daemon: str) -> None:
    """End a daemon of ours."""
    pid = process_of(daemon)
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        wait_for(lambda: process_of(daemon) != pid, f"{daemon} (process {pid}) does not end.")


def wait_for(condition, complaint: str) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise ClusterError(complaint)
        time.sleep(0.1)


if __name__ == "__main__":
    actions = {"start": start, "stop": stop}
    if sys.argv[1:] not in [[action] for action in actions]:
        sys.exit("usage: python tests/slurm/cluster.py start|stop")
    try:
        actions[sys.argv[1]]()
    except ClusterError as error:
        sys.exit(str(error))
