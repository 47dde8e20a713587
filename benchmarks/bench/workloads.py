"""What is asked of every proxy."""

import dataclasses

SERVICE = "weir.bench.Payload"


@dataclasses.dataclass(frozen=True)
class Workload:
    """A number of connections, each with that many calls open at a time; sizes in bytes.

    An answer has `messages` of the request's size. With `churns` a connection makes one call and
    is closed; with `reloads` Weir's configuration changes while it is measured. `routes` is for
    Weir alone."""

    name: str
    connections: int
    streams: int
    size: int
    messages: int = 1
    routes: int = 1
    churns: bool = False
    reloads: bool = False

    @property
    def path(self):
        if self.messages > 1:
            return f"/{SERVICE}/Stream{self.messages}x{self.size}"
        return f"/{SERVICE}/Bytes{self.size}"

    @property
    def answer_size(self):
        return self.messages * self.size

    @property
    def in_words(self):
        size = {1 << 16: "64 KiB", 1 << 20: "1 MiB"}.get(self.size, f"{self.size} byte")
        if self.churns:
            return (f"connections that make one call each, {self.connections} at a time, {size} "
                    f"request and response")
        shape = (f"{self.connections} connection{'s' * (self.connections > 1)} x {self.streams} "
                 f"call{'s' * (self.streams > 1)} at a time")
        if self.messages > 1:
            return f"{shape}, {self.messages} messages of {size}s in answer to one"
        return (f"{shape}, {size} request and response"
                + (f", {self.routes} routes in Weir" if self.routes > 1 else "")
                + (", Weir reloads four times a second" if self.reloads else ""))


WORKLOADS = {
    workload.name: workload
    for workload in [
        Workload("1x1", 1, 1, 100),
        Workload("10x10", 10, 10, 100),
        Workload("100x10", 100, 10, 100),
        Workload("64KiB", 10, 4, 1 << 16),
        Workload("1MiB", 4, 2, 1 << 20),
        Workload("stream", 4, 2, 100, messages=10_000),
        Workload("1000-routes", 10, 10, 100, routes=1_000),
        Workload("100000-routes", 10, 10, 100, routes=100_000),
        Workload("churn", 100, 1, 100, churns=True),
        Workload("reloads", 10, 10, 100, reloads=True),
    ]
}
