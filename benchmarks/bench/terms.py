"""On which terms a run is made: what is encrypted, who shows a certificate, how many routes, whether
each call is checked by its token and by rules, and whether the proxy is ready for servers that fail."""

import dataclasses
import re


@dataclasses.dataclass(frozen=True)
class Terms:
    """`tls` is "off", "downstream" (clients to proxy) or "both"; with `mutual` whoever connects
    shows a certificate."""

    tls: str = "off"
    mutual: bool = False
    routes: int = 1
    guarded: bool = False
    resilient: bool = False

    @property
    def is_encrypted(self):
        return self.tls != "off"

    @property
    def scheme(self):
        return "https" if self.is_encrypted else "http"

    @property
    def flags(self):
        """What conditional lines of the configurations in peers/ ask for."""
        flags = {"tls" if self.is_encrypted else "cleartext",
                 "to-tls" if self.tls == "both" else "to-cleartext"}
        if self.is_encrypted:
            flags.add("mutual" if self.mutual else "tls-only")
        if self.tls == "both":
            flags.add("to-mutual" if self.mutual else "to-tls-only")
        flags.add("guarded" if self.guarded else "open")
        flags.add("resilient" if self.resilient else "plain-upstream")
        return flags

    @property
    def suffix(self):
        """What a workload's name in the results ends with."""
        name = {"off": "", "downstream": "tls", "both": "tls-both"}[self.tls]
        return "".join([f" {name}" if name else "", " mtls" if self.mutual else "",
                        " guarded" if self.guarded else "",
                        " resilient" if self.resilient else ""])

    @property
    def in_words(self):
        words = {"off": "", "downstream": ", TLS from clients", "both": ", TLS on both sides"}
        return (words[self.tls] + (" with certificates of who connects" if self.mutual else "")
                + (", each call with a token, and rules" if self.guarded else "")
                + (", with retries, ejection and breakers" if self.resilient else ""))


SUFFIXES = [Terms(tls, mutual, guarded=guarded, resilient=resilient).suffix
            for resilient in (False, True) for guarded in (False, True)
            for tls, mutual in [("off", False), ("downstream", False), ("downstream", True),
                                ("both", False), ("both", True)]]


def chosen_lines(text, flags):
    """Of lines that begin with `@FLAG ` those whose flag is set, without it; all others as they
    are."""
    lines = []
    for line in text.splitlines():
        condition = re.match(r"@([a-z-]+) ", line)
        if condition is None:
            lines.append(line)
        elif condition[1] in flags:
            lines.append(line[condition.end():])
    return "\n".join(lines) + "\n"
