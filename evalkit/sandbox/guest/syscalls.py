"""Numbers of a session's system calls on x86-64 and aarch64 (linux: unistd_64.h, asm-generic/unistd.h)."""

from __future__ import annotations

import platform

AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""What a seccomp filter is told of the machine."""
LAST = 462
"""Calls with a higher number came after these tables: to a session they do not exist."""

# name, x86-64, aarch64 (- where it has none)
_SAFE = """
read 0 63, write 1 64, readv 19 65, writev 20 66, pread64 17 67, pwrite64 18 68, preadv 295 69, pwritev 296 70,
preadv2 327 286, pwritev2 328 287, lseek 8 62, close 3 57, close_range 436 436, fstat 5 80, newfstatat 262 79,
stat 4 -, lstat 6 -, statx 332 291, access 21 -, faccessat 269 48, faccessat2 439 439, open 2 -, openat 257 56,
creat 85 -, flock 73 32, dup 32 23, dup2 33 -, dup3 292 24, pipe 22 -, pipe2 293 59, poll 7 -, ppoll 271 73,
select 23 -, pselect6 270 72, epoll_create 213 -, epoll_create1 291 20, epoll_ctl 233 21, epoll_wait 232 -,
epoll_pwait 281 22, epoll_pwait2 441 441, eventfd 284 -, eventfd2 290 19, timerfd_create 283 85,
timerfd_settime 286 86, timerfd_gettime 287 87, getdents 78 -, getdents64 217 61, getcwd 79 17, chdir 80 49,
fchdir 81 50, rename 82 -, renameat 264 38, renameat2 316 276, unlink 87 -, unlinkat 263 35, mkdir 83 -,
mkdirat 258 34, rmdir 84 -, link 86 -, linkat 265 37, symlink 88 -, symlinkat 266 36, readlink 89 -,
readlinkat 267 78, ftruncate 77 46, fallocate 285 47, fsync 74 82, fdatasync 75 83, sync_file_range 277 84,
fadvise64 221 223, readahead 187 213, sendfile 40 71, copy_file_range 326 285, umask 95 166, statfs 137 43,
fstatfs 138 44, getxattr 191 8, lgetxattr 192 9, fgetxattr 193 10, listxattr 194 11, llistxattr 195 12,
flistxattr 196 13, mmap 9 222, munmap 11 215, mprotect 10 226, mremap 25 216, madvise 28 233, brk 12 214,
mincore 27 232, msync 26 227, membarrier 324 283, futex 202 98, futex_waitv 449 449, set_robust_list 273 99,
set_tid_address 218 96, rseq 334 293, restart_syscall 219 128, exit 60 93, exit_group 231 94,
sched_yield 24 124, sched_getaffinity 204 123, sched_getparam 143 121, sched_getscheduler 145 120,
sched_get_priority_max 146 125, sched_get_priority_min 147 126, getpriority 140 141, rt_sigaction 13 134,
rt_sigprocmask 14 135, rt_sigreturn 15 139, rt_sigpending 127 136, rt_sigsuspend 130 133,
rt_sigtimedwait 128 137, sigaltstack 131 132, pause 34 -, alarm 37 -, setitimer 38 103, getitimer 36 102,
nanosleep 35 101, clock_nanosleep 230 115, clock_gettime 228 113, clock_getres 229 114, gettimeofday 96 169,
time 201 -, times 100 153, getrusage 98 165, getrlimit 97 163, setrlimit 160 164, sysinfo 99 179, uname 63 160,
getrandom 318 278, getcpu 309 168, getpid 39 172, gettid 186 178, getppid 110 173, getuid 102 174,
geteuid 107 175, getgid 104 176, getegid 108 177, getresuid 118 148, getresgid 120 150, getgroups 115 158,
getpgid 121 155, getpgrp 111 -, getsid 124 156, arch_prctl 158 -, wait4 61 260, waitid 247 95, recvfrom 45 207
"""
_ATTRIBUTES = """
truncate 76 45, chmod 90 -, fchmod 91 52, fchmodat 268 53, fchmodat2 452 452, chown 92 -, fchown 93 55,
lchown 94 -, fchownat 260 54, utime 132 -, utimes 235 -, futimesat 261 -, utimensat 280 88, setxattr 188 5,
lsetxattr 189 6, fsetxattr 190 7, removexattr 197 14, lremovexattr 198 15, fremovexattr 199 16
"""
_OTHER = """
clone 56 220, clone3 435 435, prlimit64 302 261, kill 62 129, tgkill 234 131, prctl 157 167, ioctl 16 29,
fcntl 72 25, socketpair 53 199, sendto 44 206, pivot_root 155 41, capset 126 91
"""


def _table(text: str, machine: str) -> dict[str, int]:
    column = 1 + list(AUDIT).index(machine)
    rows = (entry.split() for entry in text.replace("\n", " ").split(",") if entry.strip())
    return {row[0]: int(row[column]) for row in rows if row[column] != "-"}


class Calls:
    """System call numbers of one machine.

    Args:
        machine: as `uname` names it; this one by default.

    Attributes:
        audit: the machine's name in a filter.
        safe: calls that reach nothing but what the session holds already, and files that the mounts and
            landlock let it reach.
        attributes: calls that cut a file or change its owner, mode, times or extended attributes, which landlock
            does not rule in every version: only for a session whose writable files are its own.
        other: calls that are allowed with some arguments only, or that setting up needs.

    Raises:
        OSError: the machine is neither x86-64 nor aarch64.
    """

    def __init__(self, machine: str = "") -> None:
        machine = machine or platform.machine()
        if machine not in AUDIT:
            raise OSError(f"seccomp: no table of system calls for {machine}")
        self.audit = AUDIT[machine]
        self.safe = _table(_SAFE, machine)
        self.attributes = _table(_ATTRIBUTES, machine)
        self.other = _table(_OTHER, machine)
