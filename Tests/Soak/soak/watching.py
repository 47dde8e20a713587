"""Looks at the proxy every second, and judges what memory and descriptors did."""

import http.client
import os
import pathlib
import re
import statistics
import threading
import time

PAGE = os.sysconf("SC_PAGE_SIZE")


class Watch:
    """Resident memory, descriptors and readiness; in spans of calm the first two are kept."""

    def __init__(self, world):
        self._world = world
        self.peak, self.unready, self.spans = 0, [], []
        self._span, self._connection = None, None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def calm(self, seconds):
        """Watches for so long while nothing goes wrong: the medians of memory and descriptors."""
        self._span = []
        threading.Event().wait(seconds)
        samples, self._span = self._span, None
        if samples:
            self.spans.append(tuple(statistics.median(column) for column in zip(*samples)))

    def stop(self):
        self._stop.set()
        self._thread.join(10)
        if self._connection:
            self._connection.close()

    def _run(self):
        while not self._stop.wait(1 if self._world.is_long else 0.2):
            proxy = self._world.proxy
            try:
                memory, descriptors = resident(proxy.pid), proxy.descriptors()
            except OSError:
                return
            self.peak = max(self.peak, memory)
            if self._span is not None:
                self._span.append((memory, descriptors))
            self._ask()

    def _ask(self):
        """One connection for all: none is to be had while descriptors have run out."""
        for _ in range(2):
            try:
                self._connection = self._connection or http.client.HTTPConnection(
                    "127.0.0.1", self._world.mesh.metrics_port, timeout=5)
                self._connection.request("GET", "/ready")
                response = self._connection.getresponse()
                response.read()
                if response.status == 200:
                    return
                why = f"status {response.status}"
            except (OSError, http.client.HTTPException) as error:
                self._connection, why = None, repr(error)
        if not self._world.is_without_descriptors:
            self.unready.append(f"{time.strftime('%X')} {why}")


def resident(pid):
    """Resident memory in bytes."""
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


def anonymous(pid):
    """That part of it which is no file's."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+)", text)[1]) << 10


def growth(spans):
    """Memory at first and at last, of the spans of calm after the first two.

    Each is the median of a quarter of them; None where there are too few.
    """
    rest = [memory for memory, _ in spans[2:]]
    if len(rest) < 4:
        return None
    quarter = max(2, len(rest) // 4)
    return statistics.median(rest[:quarter]), statistics.median(rest[-quarter:])
