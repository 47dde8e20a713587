"""What Weir is told: its configuration, which may be any of many, and the certificates of everybody."""

import weir as program
from reloading import replace, text_of
from test_ca import Authority

DOMAIN = "mesh.example"
RETRY = {
    "attempts": 5, "codes": ["UNAVAILABLE"], "per_try_timeout": "1s", "buffer": "64KiB",
    "backoff": {"base": "25ms", "max": "250ms"}, "budget": {"ratio": "20%", "minimum": 50}}
# A server that hangs is found out within 2 s, and one that is back within half a second.
PATIENCE = {
    "connect": "1s", "handshake": "2s", "settings": "1s", "keepalive": "1s", "keepalive_ack": "1s",
    "backoff_base": "50ms", "backoff_max": "500ms", "idle": "1s"}
HASTE = {
    "preface": "1s", "settings_ack": "1s", "header_block": "1s", "body_idle": "1s",
    "stalled_writer": "1s", "unread_output": "1s", "idle": "1s"}


class Mesh:
    """The files of one soak, and the ports in them."""

    def __init__(self, folder, log_folder, is_sanitized):
        self.folder = folder
        self.log = log_folder / "access.log"
        self.config_path = folder / "weir.yaml"
        self.metrics_port, self.admin = program.free_port(), folder / "admin.sock"
        self.clear, self.sealed, self.public = (program.free_port() for _ in range(3))
        self.servers = {
            "clear": [program.free_port(), program.free_port()],
            "sealed": [program.free_port(), program.free_port()],
            "others": [program.free_port()]}
        self._overload = "off" if is_sanitized else "1GiB"
        self._revision = 0
        self.ca = Authority(folder)
        self.bundle = self.ca.directory / "bundle.pem"
        self.renew()

    def pem(self, name):
        """Certificate and key in one file, so that they change in one step."""
        return self.folder / f"{name}.pem"

    def renew(self):
        for name in ("edge", "server", "client"):
            self.ca.run(
                "issue", "--id", f"spiffe://{DOMAIN}/{name}", "--dns", f"{name}.example",
                "--certificate", self.pem(name), "--private-key", self.pem(name))

    def write(self, chance=None):
        """Puts a configuration in place: the plain one, or one by chance; no text comes twice."""
        self._revision += 1
        config = self._plain()
        if chance:
            self._change(config, chance)
        replace(self.config_path, f"# {self._revision}\n{text_of(config)}")

    def write_broken(self, chance):
        """One that is refused, for one of several reasons."""
        self._revision += 1
        text = [
            f"listeners: [{self._revision}",
            f"nonsense: {self._revision}\n",
            f"# {self._revision}\nlisteners:\n  - {{name: edge, address: nowhere}}\n",
            "\0\1\2" + str(self._revision)]
        replace(self.config_path, text[chance.randrange(len(text))])

    def _plain(self):
        listener_tls = {"identities": ["edge"], "clients": "required", "trust": [DOMAIN]}
        upstream_tls = {"identity": "edge", "trust": DOMAIN, "peers": [f"spiffe://{DOMAIN}/server"]}
        edge = str(self.pem("edge"))
        return {
            "listeners": [
                {"name": "clear", "address": f"127.0.0.1:{self.clear}"},
                {"name": "sealed", "address": f"127.0.0.1:{self.sealed}", "tls": listener_tls},
                {"name": "public", "address": f"127.0.0.1:{self.public}", "timeouts": dict(HASTE)}],
            "identities": [{"name": "edge", "certificate": edge, "private_key": edge}],
            "trust": [{"name": DOMAIN, "ca": str(self.bundle),
                       "crl": str(self.ca.directory / "crl.pem")}],
            "upstreams": [
                self._upstream("clear"), {**self._upstream("sealed"), "tls": upstream_tls},
                self._upstream("others")],
            "routes": [
                self._route("clear", "weir.soak.v1.Clear/*"),
                self._route("sealed", "weir.soak.v1.Sealed/*"),
                {"name": "others", "listeners": ["clear", "sealed", "public"],
                 "backends": [{"upstream": "others"}]}],
            "access": {"default": "allow"},
            "access_log": {"file": str(self.log), "only": "errors"},
            "metrics": {"address": f"127.0.0.1:{self.metrics_port}"},
            "admin": {"address": f"unix:{self.admin}"},
            "overload": {"memory": self._overload, "lag": "off"},
        }

    def _upstream(self, name):
        return {"name": name, "balance": "least_request", "timeouts": dict(PATIENCE), "endpoints": [
            {"address": f"127.0.0.1:{port}"} for port in self.servers[name]]}

    def _route(self, name, method):
        return {"name": name, "listeners": ["clear", "sealed"], "matches": [{"method": method}],
                "backends": [{"upstream": name}], "retry": RETRY}

    def _change(self, config, chance):
        for upstream in config["upstreams"][:2]:
            for endpoint in upstream["endpoints"]:
                endpoint["weight"] = chance.randint(1, 4)
            if chance.random() < 0.3:
                upstream["limits"] = {"requests": chance.randint(1024, 4096)}
            if chance.random() < 0.3:
                upstream["timeouts"]["idle"] = f"{chance.randint(2, 9)}s"
            if chance.random() < 0.2:
                # Nobody listens there.
                upstream["endpoints"].append({"address": "127.0.0.1:1"})
            upstream["balance"] = chance.choice(["round_robin", "least_request", "peak_ewma"])
        listeners = ["clear", "sealed", "public"]
        config["routes"] += [
            {"name": f"extra-{self._revision}-{number}", "listeners": listeners,
             "matches": [{"path": f"/extra/{number}"}], "respond": {"status": 204}}
            for number in range(1 + chance.randrange(200))]
