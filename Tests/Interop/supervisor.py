"""What a service supervisor does: a notify socket that it reads, and threads that it may stop."""

import ctypes
import os
import pathlib
import signal
import socket
import threading

import waiting


class NotifySocket:
    """Reads messages as systemd does; `address` is for NOTIFY_SOCKET."""

    def __init__(self, address):
        self.address = str(address)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address.replace("@", "\0", 1))
        self._messages = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def messages(self):
        """Each as a dictionary of its lines, in order."""
        return [dict(line.split("=", 1) for line in text.splitlines()) for text in self._messages]

    def count(self, name):
        return sum(name in message for message in self.messages)

    def wait_for(self, name, count=1, timeout=5.0):
        """Waits until so many messages had this name; the last of them."""
        waiting.until(
            lambda: self.count(name) >= count,
            lambda: f"{count} times {name}; there are {self.messages}", timeout)
        return [message for message in self.messages if name in message][-1]

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.join(2)
        self._socket.close()

    def _read(self):
        while data := self._socket.recv(4096):
            self._messages.append(data.decode())


_PTRACE_DETACH, _PTRACE_SEIZE, _PTRACE_INTERRUPT = 17, 0x4206, 0x4207


class StoppedThread:
    """Keeps one thread of a process from running, as a bug that hangs it would."""

    def __init__(self, process, position):
        """`position` is the thread's in order of creation; 0 is the first."""
        threads = sorted(int(task.name) for task in pathlib.Path(f"/proc/{process}/task").iterdir())
        self._thread = threads[position]
        self._trace(_PTRACE_SEIZE)
        self._trace(_PTRACE_INTERRUPT)
        os.waitpid(self._thread, 0x40000000)  # __WALL

    def go_on(self):
        self._trace(_PTRACE_DETACH)

    def _trace(self, request):
        libc = ctypes.CDLL(None, use_errno=True)
        libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        if libc.ptrace(request, self._thread, None, None) != 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))


def activated(command, *sockets, names=None):
    """The command behind systemd-socket-activate, which listens for it."""
    listen = [f"--listen={address}" for address in sockets]
    named = [f"--fdname={':'.join(names)}"] if names else []
    return ["systemd-socket-activate", *listen, *named, *command]


def ended(process, timeout=15):
    """Ends a process; its exit status."""
    process.send_signal(signal.SIGTERM)
    return process.wait(timeout)
