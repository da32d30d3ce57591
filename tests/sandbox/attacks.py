"""What hostile code tries. An attack prints REACHED when it succeeds.

Run as a program (`python attacks.py TIER`), it runs them all in that tier and prints the results as JSON: for the
tests that change user first.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import evalkit
from evalkit.sandbox import Limits, LocalSandbox, SessionSpec, Tier

LIMITS = Limits(call_s=30, disk_mb=16, file_mb=8, threads=32)


class Attack(NamedTuple):
    """Code, and whether it succeeds where nothing is isolated (and may be tried there)."""

    code: str
    control: bool = True


ATTACKS = {
    "TCP to a listener": Attack("socket.create_connection(('127.0.0.1', tcp), 2); reached()"),
    "UDP": Attack("socket.socket(2, 2).sendto(b'x', ('127.0.0.1', udp)); reached()"),
    "unix socket": Attack("socket.socket(1, 1).connect(folder + '/unix'); reached()"),
    "abstract unix socket": Attack("socket.socket(1, 1).connect('\\0' + token); reached()"),
    "netlink": Attack("socket.socket(16, 3, 0); reached()"),
    "datagram pair to a path": Attack(
        "a, b = socket.socketpair(1, 2); a.sendto(b'x', folder + '/datagram'); reached()"
    ),
    "asynchronous DNS": Attack("socket.getaddrinfo('localhost', 80)[0] and socket.socket(2, 1); reached()"),
    "/etc/passwd": Attack("open('/etc/passwd').read(1) and reached()"),
    "/etc/shadow": Attack("open('/etc/shadow').read(1); reached()", control=False),
    "secret in a file": Attack("token in open(folder + '/secret').read() and reached()"),
    "secret in an environment": Attack("token in open(f'/proc/{decoy}/environ').read() and reached()"),
    "memory of another process": Attack("open(f'/proc/{decoy}/mem', 'rb'); reached()"),
    "data set": Attack("token in open(folder + '/data/answers.json').read() and reached()"),
    "run folder": Attack("token in open(folder + '/runs/samples.jsonl').read() and reached()"),
    "folder's names": Attack("'secret' in os.listdir(folder) and reached()"),
    "evalkit's own files": Attack("open(sources).read(1) and reached()"),
    "processes": Attack("any(name.isdigit() for name in os.listdir('/proc')) and reached()"),
    "kernel's settings": Attack("open('/sys/kernel/profiling').read(); reached()"),
    "signal to the parent": Attack("os.kill(os.getppid() or decoy, 0); reached()"),
    "signal to all": Attack("os.kill(-1, 0); reached()"),
    "signal to the group": Attack("os.kill(0, 0); reached()"),
    "signal to another": Attack("os.kill(decoy, signal.SIGCONT); reached()"),
    "signal by descriptor": Attack("signal.pidfd_send_signal(os.pidfd_open(decoy), 0); reached()"),
    "signal by ownership": Attack("import fcntl; fcntl.fcntl(host, 8, os.getpid()); reached()"),
    "limits of another": Attack("resource.prlimit(decoy, resource.RLIMIT_NOFILE); reached()"),
    "trace another": Attack("libc.ptrace(0x4206, decoy, 0, 0) == 0 and reached()"),
    "fork": Attack("os.fork() or os._exit(0); reached()"),
    "vfork and exec": Attack("subprocess.run([python, '-c', '']); reached()"),
    "spawn": Attack("os.waitpid(os.posix_spawn(python, ['python', '-c', ''], {}), 0); reached()"),
    "raw clone": Attack("pid = syscall(clone, 17, 0, 0, 0, 0)\nif pid == 0: os._exit(0)\nif pid > 0: reached()"),
    "multiprocessing": Attack("import multiprocessing as m; m.get_context('fork').Process().start(); reached()"),
    "exec": Attack("os.execv(python, ['python', '-c', ''])"),
    "exec by descriptor": Attack("os.execve(os.open(python, 0), ['python', '-c', ''], {})"),
    "thread bomb": Attack(
        "import threading\n"
        "threading.stack_size(32768)\n"
        "stop, count = threading.Event(), 0\n"
        "try:\n"
        "    while count < 3000: threading.Thread(target=stop.wait).start(); count += 1\n"
        "finally: stop.set()\n"
        "reached()",
        control=False,
    ),
    "10 GB of numpy": Attack("import numpy; numpy.ones(10 << 30, numpy.uint8); reached()", control=False),
    "10 GB of bytes": Attack("bytearray(10 << 30); reached()", control=False),
    "memory by mmap": Attack("import mmap; mmap.mmap(-1, 10 << 30); reached()", control=False),
    "file in memory": Attack("os.ftruncate(os.memfd_create('x'), 10 << 30); reached()", control=False),
    "big file": Attack("open('big', 'wb').write(bytes(20 << 20)); reached()", control=False),
    "full disk": Attack(
        "for n in range(10): open(str(n), 'wb').write(bytes(7 << 20))\nreached()"
    ),
    "many files": Attack("for n in range(10000): open(str(n), 'w').close()\nreached()"),
    "many folders": Attack("for n in range(10000): os.mkdir(str(n))\nreached()", control=False),
    "write to /usr": Attack("open('/usr/lib/evalkit-attack', 'w'); reached()", control=False),
    "write to /": Attack("open('/evalkit-attack', 'w'); reached()", control=False),
    "write to /dev/shm": Attack("open('/dev/shm/' + token, 'w'); os.unlink('/dev/shm/' + token); reached()"),
    "change numpy": Attack("import numpy; open(numpy.__file__, 'a'); reached()"),
    "write outside": Attack("open(folder + '/new', 'w'); reached()"),
    "change a secret": Attack("open(folder + '/secret', 'a'); reached()"),
    "cut a secret": Attack("os.truncate(folder + '/secret', 100); reached()"),
    "mode of a secret": Attack("os.chmod(folder + '/secret', 0o666); reached()"),
    "times of a secret": Attack("os.utime(folder + '/secret'); reached()"),
    "link to a secret": Attack("os.link(folder + '/secret', folder + '/link'); reached()"),
    "remove a secret": Attack("os.unlink(folder + '/link2'); reached()"),
    "rename a secret": Attack("os.rename(folder + '/link3', folder + '/link4'); reached()"),
    "device": Attack("os.mknod('device', 0o60666, os.makedev(8, 0)) or open('device', 'rb'); reached()", control=False),
    "new user namespace": Attack("libc.unshare(0x10000000) == 0 and reached()"),
    "mount": Attack("libc.mount(b'x', b'/tmp', b'tmpfs', 0, 0) == 0 and reached()", control=False),
    "become root": Attack("os.setuid(0); os.setgroups([0]); reached()", control=False),
    "change the root": Attack("os.chroot('/'); reached()", control=False),
    "other address space": Attack("syscall(0x40000000 + 39) > 0 and reached()", control=False),
}  # fmt: skip
"""Name to attack."""

_PRELUDE = """
import ctypes, os, platform, resource, signal, socket, subprocess
globals().update({given!r})
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
clone = 56 if platform.machine() == "x86_64" else 220
host = 3
def syscall(*arguments): return libc.syscall(*map(ctypes.c_long, arguments))
def reached(): print("REACHED")
"""

CALLS = {
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "chroot": (161, 51), "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "bpf": (321, 280),
    "perf_event_open": (298, 241), "userfaultfd": (323, 282), "init_module": (175, 105), "finit_module": (313, 273),
    "kexec_load": (246, 104), "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264), "fsopen": (430, 430),
    "fsmount": (432, 432), "move_mount": (429, 429), "open_tree": (428, 428), "mount_setattr": (442, 442),
    "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424),
    "process_madvise": (440, 440), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "kcmp": (312, 272), "personality": (135, 92), "acct": (163, 89), "swapon": (167, 224), "quotactl": (179, 60),
    "fanotify_init": (300, 262), "inotify_init1": (294, 26), "memfd_create": (319, 279), "memfd_secret": (447, 447),
    "shmget": (29, 194), "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180), "mknodat": (259, 33),
    "landlock_create_ruleset": (444, 444), "ptrace": (101, 117), "connect": (42, 203), "bind": (49, 200),
    "sendmsg": (46, 211), "socket": (41, 198), "setpriority": (141, 140), "sched_setscheduler": (144, 119),
    "sched_setaffinity": (203, 122), "execveat": (322, 281), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "tkill": (200, 130), "splice": (275, 76), "vmsplice": (278, 75), "tee": (276, 77),
    "remap_file_pages": (216, 234), "mbind": (237, 235), "migrate_pages": (256, 238),
}  # fmt: skip
"""System calls that a session has no use for: their numbers on x86-64 and aarch64."""

CALLS_CODE = f"""
import errno
column = 0 if platform.machine() == "x86_64" else 1
through = []
for name, numbers in {CALLS!r}.items():
    ctypes.set_errno(0)
    if syscall(numbers[column], -1, -1, -1, -1, -1, -1) != -1 or ctypes.get_errno() not in (errno.EPERM, errno.ENOSYS):
        through.append(name)
through
"""
"""Calls each of them with senseless arguments; the value is the list of those that the kernel looked at."""


@contextmanager
def planted() -> Iterator[dict[str, Any]]:
    """What the attacks are after, open to every user of this machine; names for the code."""
    token = secrets.token_hex(16)
    folder = Path(tempfile.mkdtemp(prefix="attacked-", dir="/tmp"))
    folder.chmod(0o777)
    for name in ("data/answers.json", "runs/samples.jsonl", "secret", "link2", "link3"):
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        file.parent.chmod(0o777)
        file.write_text(token)
        file.chmod(0o666)
    tcp, udp = socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    paths = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX, 2)
    paths[0].bind(f"{folder}/unix")
    paths[1].bind(f"\0{token}")
    paths[2].bind(f"{folder}/datagram")
    for path in (*folder.glob("unix"), *folder.glob("datagram")):
        path.chmod(0o777)
    for listener in paths[:2]:
        listener.listen()
    decoy = subprocess.Popen(
        [sys.executable, "-c", "import sys; print(1, flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "HF_TOKEN": token},
    )
    assert decoy.stdout
    decoy.stdout.readline()
    try:
        yield {
            "token": token,
            "folder": str(folder),
            "tcp": tcp.getsockname()[1],
            "udp": udp.getsockname()[1],
            "decoy": decoy.pid,
            "python": sys.executable,
            "sources": evalkit.__file__,
        }
        assert decoy.poll() is None
    finally:
        decoy.kill()
        decoy.communicate()
        for listening in (tcp, udp, *paths):
            listening.close()
        shutil.rmtree(folder, ignore_errors=True)


def prelude(given: dict[str, Any]) -> str:
    """Code that binds what an attack uses."""
    return _PRELUDE.format(given=given)


async def attack(sandbox: LocalSandbox, given: dict[str, Any], code: str) -> str:
    """Run an attack in a new session: "" if it was held off, else what it did."""
    session = await sandbox.open(SessionSpec(limits=LIMITS))
    try:
        await session.run(prelude(given))
        result = await session.run(code)
        if result.state_lost:
            return result.stderr
        after = await session.run("1 + 1")
        if after.value != "2":
            return f"the session does not answer any more: {after.stderr}"
        return "REACHED" if "REACHED" in result.stdout else ""
    finally:
        await session.close()


async def _all(tier: str) -> dict[str, Any]:
    async with LocalSandbox(tier=Tier(tier), allow_unisolated=True) as sandbox:
        capabilities = await sandbox.start()
        found: dict[str, Any] = {"tier": capabilities.tier.value, "details": capabilities.details}
        with planted() as given:
            names = [name for name, attack in ATTACKS.items() if tier != "T0" or attack.control]
            found["done"] = {name: done for name in names if (done := await attack(sandbox, given, ATTACKS[name].code))}
            session = await sandbox.open(SessionSpec())
            await session.run(prelude(given))
            found["calls"] = (await session.run(CALLS_CODE)).value
    return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_all(sys.argv[1]))))
