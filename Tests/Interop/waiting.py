"""The one place where a test waits for something that cannot signal it."""

import threading
import time


class Late(AssertionError):
    """What was waited for did not happen in time."""


def until(predicate, what, timeout=5.0, interval=0.005):
    """Returns the first true value of `predicate()`; fails with `what` after `timeout` seconds."""
    pause = threading.Event()
    deadline = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise Late(f"not within {timeout} s: {what() if callable(what) else what}")
        pause.wait(interval)


def until_quiet(counter, quiet=0.4, timeout=20.0):
    """Returns `counter()` once it has not changed for `quiet` seconds."""
    state = {"value": counter(), "since": time.monotonic()}

    def unchanged():
        value = counter()
        if value != state["value"]:
            state.update(value=value, since=time.monotonic())
        return time.monotonic() - state["since"] >= quiet

    until(unchanged, lambda: f"a counter at {state['value']} to rest", timeout, interval=0.02)
    return state["value"]
