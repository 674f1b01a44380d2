"""What somebody types at a question."""

from __future__ import annotations

import select
import signal
import socket
import sys


def read_answer() -> str:
    """One line of the terminal, in the main thread; empty at its end. Ctrl-C ends the wait whenever it comes.

    A signal that arrives after Python last looked for one and before the system waits for the line would otherwise be
    obeyed only once the line is there. The wake-up socket is written by the signal itself, so no wait begins after it.
    """
    woken, waker = socket.socketpair()
    with woken, waker:
        waker.setblocking(False)
        before = signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        try:
            while sys.stdin not in select.select([sys.stdin, woken], [], [])[0]:
                woken.recv(4096)
        finally:
            signal.set_wakeup_fd(before)
    return sys.stdin.readline()
