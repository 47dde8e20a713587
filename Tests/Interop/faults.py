"""Load that counts how calls end, and a proxy that can be looked at while things go wrong."""

import collections
import contextlib
import signal
import time

import frames
import waiting
from frames import EMPTY_MESSAGE, GRPC
from reloading import LONG, Callers, pause

OK, CANCELLED, DEADLINE_EXCEEDED, UNAVAILABLE = 0, 1, 4, 14
# CANCELLED is what a server says of a call that it takes up too late.
CLEAN = {OK, CANCELLED, DEADLINE_EXCEEDED, UNAVAILABLE}

MIB = 1 << 20


class Load(Callers):
    """Calls with deadlines, 10 on each of some connections, that count their answers by status.

    Faults are whatever is not an answer of gRPC: a reset, a closed connection, a status that is not
    one of `CLEAN`, one that is not OK and has no words, an answer long after the deadline.
    """

    def __init__(self, proxy, milliseconds=1_000, connections=5, streams=10):
        self.statuses = collections.Counter()
        fields = [*GRPC, ("grpc-timeout", f"{milliseconds}m")]
        super().__init__(
            proxy.port, fields, self._judge, connections, streams, EMPTY_MESSAGE)

    def _judge(self, stream):
        status = stream.grpc_status
        self.statuses[status] += 1
        words = dict(stream.trailers or stream.headers).get(b"grpc-message")
        if status not in CLEAN or status != OK and not words:
            return repr(stream)
        return None

    def count(self, *statuses):
        return sum(self.statuses[status] for status in statuses)

    def until_answered(self, status, count=50, timeout=30.0):
        """Waits for so many more answers with this status; the seconds that it took."""
        begin, goal = time.monotonic(), self.statuses[status] + count
        waiting.until(
            lambda: self.statuses[status] >= goal or self.faults,
            lambda: f"{count} more answers with status {status}; there are {self.statuses}", timeout)
        assert not self.faults, self.faults
        return time.monotonic() - begin

    def until_well(self, timeout, count=200):
        """Waits until so many answers in a row were OK; the seconds from now to the first of them."""
        begin = time.monotonic()
        while True:
            bad = sum(self.statuses.values()) - self.statuses[OK]
            start, goal = time.monotonic(), self.statuses[OK] + count
            waiting.until(
                lambda: self.statuses[OK] >= goal or self.faults
                or sum(self.statuses.values()) - self.statuses[OK] > bad,
                lambda: f"calls to go well again; there are {self.statuses}",
                begin + timeout + 10 - time.monotonic())
            assert not self.faults, self.faults
            if self.statuses[OK] >= goal:
                took = start - begin
                assert took <= timeout, f"calls went well after {took:.1f} s"
                return took


class Watched:
    """What a proxy has before and after: memory and descriptors must come back."""

    def __init__(self, proxy):
        self.proxy = proxy
        self.memory = proxy.resident_bytes()
        self.descriptors = self.count()

    def count(self):
        return int(self.proxy.value("process_open_fds"))

    def assert_back(self, memory=8 * MIB, descriptors=4, timeout=30.0):
        """No call is left, and memory and descriptors are what they were, but for so much."""
        waiting.until(
            lambda: self.proxy.value("weir_requests_active") == 0, "no request to be left", timeout)
        waiting.until(
            lambda: self.count() <= self.descriptors + descriptors,
            lambda: f"descriptors to come back: {self.descriptors} then, {self.count()} now", timeout)
        more = self.proxy.resident_bytes() - self.memory
        assert more <= memory, f"{more} bytes more than before"


@contextlib.contextmanager
def under_load(proxy, **terms):
    """Load for the time of the block, warmed up; then everything must have come back."""
    with Load(proxy, **terms) as warm:
        warm.until_answered(OK, 500)
    watched = Watched(proxy)
    with Load(proxy, **terms) as load:
        load.until_answered(OK, 100)
        yield load
    watched.assert_back()
    assert proxy.is_running()


@contextlib.contextmanager
def stopped(pid_owner):
    """SIGSTOP for the time of the block."""
    pid_owner.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        pid_owner.signal(signal.SIGCONT)


def times(short, long):
    """How often: a few times in the short form, more in the long one."""
    return range(long if LONG else short)


def seconds(short, long):
    """Lets the fault last."""
    pause(long if LONG else short)


def connections(proxy, count):
    """Idle clients in numbers; those that were not taken count too."""
    return [frames.Connection.to(proxy.port) for _ in range(count)]
