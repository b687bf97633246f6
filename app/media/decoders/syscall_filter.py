"""seccomp filter of decoder processes: no sockets, and no access to other processes.

A compromised decoder could otherwise reach the network of the service. The filter is built here
because it needs one system call and a table of eight numbers, while the Python bindings of
libseccomp are not on PyPI.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from typing import NamedTuple

_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2

_ALLOW = 0x7FFF0000
_ERRNO_EPERM = 0x00050000 | errno.EPERM
_KILL_PROCESS = 0x80000000

_LOAD = 0x20
_IF_EQUAL = 0x15
_IF_AT_LEAST = 0x35
_RETURN = 0x06
_NUMBER_OFFSET = 0
_ARCHITECTURE_OFFSET = 4

_X32_BIT = 0x40000000
"""Set in the numbers of system calls of the x32 ABI, which x86-64 kernels may accept too."""


class _Architecture(NamedTuple):
    """Audit number of an architecture, and the numbers of the system calls to refuse."""

    audit: int
    refused: tuple[int, ...]


# socket, socketpair, io_uring_setup (which can create sockets), ptrace, process_vm_readv,
# process_vm_writev, pidfd_getfd, pidfd_open.
_ARCHITECTURES = {
    "x86_64": _Architecture(0xC000003E, (41, 53, 425, 101, 310, 311, 438, 434)),
    "aarch64": _Architecture(0xC00000B7, (198, 199, 425, 117, 270, 271, 438, 434)),
}


def is_supported() -> bool:
    """Return True if the kernel accepts filters on this machine."""
    if sys.platform != "linux" or platform.machine() not in _ARCHITECTURES:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    # Without a program the call fails: with EFAULT if filters are supported, else with EINVAL.
    libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, None, 0, 0)
    return ctypes.get_errno() == errno.EFAULT


def install() -> None:
    """Install the filter in this process, for good; refused calls fail with EPERM.

    Raises:
        OSError: The kernel does not accept the filter.
    """
    program = _program(_ARCHITECTURES[platform.machine()])
    code = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: the number of instructions, and their address.
    filter_ = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    for call in (
        (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, filter_, 0, 0),
    ):
        if libc.prctl(*call):
            number = ctypes.get_errno()
            raise OSError(number, f"cannot restrict system calls: {os.strerror(number)}")


def _program(architecture: _Architecture) -> bytes:
    """Return the BPF program: load the number of the call, compare it, return the action."""
    count = len(architecture.refused)
    compared = [
        # A jump skips the instructions up to the last one, which refuses the call.
        _instruction(_IF_EQUAL, number, if_true=count - position)
        for position, number in enumerate(architecture.refused)
    ]
    return b"".join(
        [
            _instruction(_LOAD, _ARCHITECTURE_OFFSET),
            _instruction(_IF_EQUAL, architecture.audit, if_true=1),
            _instruction(_RETURN, _KILL_PROCESS),
            _instruction(_LOAD, _NUMBER_OFFSET),
            _instruction(_IF_AT_LEAST, _X32_BIT, if_true=count + 1),
            *compared,
            _instruction(_RETURN, _ALLOW),
            _instruction(_RETURN, _ERRNO_EPERM),
        ]
    )


def _instruction(code: int, value: int, *, if_true: int = 0) -> bytes:
    """Return an encoded `struct sock_filter`; a condition that is false goes on."""
    return struct.pack("=HBBI", code, if_true, 0, value)
