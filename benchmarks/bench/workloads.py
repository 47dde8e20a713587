"""What is asked of every proxy."""

import dataclasses

SERVICE = "weir.bench.Payload"


@dataclasses.dataclass(frozen=True)
class Workload:
    """A number of connections, each with that many calls open at a time; sizes in bytes."""

    name: str
    connections: int
    streams: int
    size: int

    @property
    def path(self):
        return f"/{SERVICE}/Bytes{self.size}"

    @property
    def in_words(self):
        size = "1 MiB" if self.size == 1 << 20 else f"{self.size} byte"
        return (f"{self.connections} connection{'s' * (self.connections > 1)} x {self.streams} "
                f"call{'s' * (self.streams > 1)} at a time, {size} request and response")


WORKLOADS = {
    workload.name: workload
    for workload in [
        Workload("1x1", 1, 1, 100),
        Workload("10x10", 10, 10, 100),
        Workload("100x10", 100, 10, 100),
        Workload("1MiB", 4, 2, 1 << 20),
    ]
}
