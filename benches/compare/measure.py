# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Runs one command (or pipeline) and reports wall time, CPU time and peak memory as JSON.

It is a program of its own, started with `python3 -I -S measure.py` and a JSON job on stdin, because Linux hands the memory
high-water mark of a process on to the program it becomes: measured from a large Python process, every small program would look
as large as that process. From here the floor is a few MiB (the field `floor_bytes` says how many).

Every descendant counts: this process declares itself the reaper of orphans, so a helper that its parent never waited for is
still collected, and its CPU time added.
"""

import ctypes
import json
import os
import resource
import signal
import sys
import time

PR_SET_CHILD_SUBREAPER = 36


def become_subreaper():
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def start(argv, stdin, stdout, stderr, cwd, env):
    """Forks and becomes `argv`. A plain fork, not posix_spawn: see the head of the file."""
    pid = os.fork()
    if pid:
        return pid
    try:
        # Outside its limits a program must die like any other, not inherit our handlers.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.setpgid(0, 0)
        if cwd:
            os.chdir(cwd)
        os.dup2(stdin, 0)
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        os.closerange(3, 256)
        os.execvpe(argv[0], argv, env)
    except OSError as error:
        os.write(2, f"cannot start {argv[0]}: {error}\n".encode())
    os._exit(127)


def start_pipeline(job):
    """Starts all stages, connected left to right. Returns their process ids in order."""
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    previous = os.open(job.get("stdin") or "/dev/null", os.O_RDONLY)
    stages = job["stages"]
    pids = []
    for position, argv in enumerate(stages):
        following = None
        if position + 1 < len(stages):
            following, output = os.pipe()
        elif job.get("stdout"):
            output = os.open(job["stdout"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        else:
            output = os.dup(log)
        pids.append(start(argv, previous, output, log, job.get("cwd"), job["env"]))
        os.close(previous)
        os.close(output)
        previous = following
    os.close(log)
    return pids


def kill_all(pids):
    for pid in pids:
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def collect(pids, timeout_seconds):
    """Waits for the stages, then for what they left behind. Returns usage per process."""
    usage, codes, timed_out = {}, {}, False

    def on_alarm(_number, _frame):
        nonlocal timed_out
        timed_out = True
        kill_all(pids)

    signal.signal(signal.SIGALRM, on_alarm)
    signal.alarm(timeout_seconds)
    finished_at = None
    while True:
        try:
            pid, status, used = os.wait4(-1, 0)
        except ChildProcessError:
            break
        usage[pid] = used
        if pid in pids:
            codes[pid] = os.waitstatus_to_exitcode(status)
            if len(codes) == len(pids):
                finished_at = time.monotonic()
    signal.alarm(0)
    return usage, [codes[pid] for pid in pids], finished_at, timed_out


def main():
    job = json.load(sys.stdin)
    become_subreaper()
    floor = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    started_at = time.monotonic()
    pids = start_pipeline(job)
    usage, codes, finished_at, timed_out = collect(pids, int(job["timeout_seconds"]))
    stages_rss = [usage[pid].ru_maxrss * 1024 for pid in pids]
    others_rss = [used.ru_maxrss * 1024 for pid, used in usage.items() if pid not in pids]
    json.dump({
        "wall_seconds": finished_at - started_at,
        "user_seconds": sum(used.ru_utime for used in usage.values()),
        "system_seconds": sum(used.ru_stime for used in usage.values()),
        # Stages of a pipeline live at the same time, so they add up. Within a stage the kernel reports its largest process.
        "rss_bytes": max([sum(stages_rss)] + others_rss),
        "exit_codes": codes,
        "timed_out": timed_out,
        "floor_bytes": floor,
    }, sys.stdout)


main()
