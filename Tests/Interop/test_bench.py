"""The benchmarks' configurations of Weir are in its language, on all terms that there are."""

import pathlib
import subprocess
import sys

import pytest

import weir as program

sys.path.insert(0, str(program.ROOT / "benchmarks"))

from bench import certificates, places, tokens  # noqa: E402
from bench.proxies import PROXIES  # noqa: E402
from bench.terms import Terms, chosen_lines  # noqa: E402

TERMS = [Terms("off"), Terms("off", routes=1_000), Terms("downstream"), Terms("downstream", True),
         Terms("both"), Terms("both", True), Terms("both", True, guarded=True),
         Terms("off", resilient=True), Terms("off", routes=1_000, resilient=True)]


@pytest.mark.parametrize("logs", [False, True], ids=["plain", "log"])
@pytest.mark.parametrize("terms", TERMS, ids=lambda terms: f"{terms.suffix} {terms.routes}".strip())
def test_weir_s_configuration_is_valid(tmp_path, monkeypatch, terms, logs):
    monkeypatch.setattr(places, "BUILD", tmp_path)
    monkeypatch.setattr(certificates, "FOLDER", tmp_path / "tls")
    monkeypatch.setattr(tokens, "FOLDER", tmp_path / "tokens")
    monkeypatch.setattr(tokens, "program", program.binary)
    tokens.fields.cache_clear()
    proxy = PROXIES["weir"].with_log() if logs else PROXIES["weir"]
    ports = {"listen": 8_080, "backend": 8_081, "metrics": 8_082}
    path = proxy.configure(tmp_path, ports, terms)
    done = subprocess.run(
        [program.binary(), "check", "--config", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    text = pathlib.Path(path).read_text()
    assert text.count("name: rule") == (10_000 if terms.guarded else 0)
    assert text.count("retry: {") == (terms.routes if terms.resilient else 0)
    assert ("access_log:" in text) == logs and ("tls:" in text) == terms.is_encrypted


def test_conditional_lines():
    text = "a\n@tls   b\n@log c\nd"
    assert chosen_lines(text, {"tls"}) == "a\n  b\nd\n"
    assert chosen_lines(text, set()) == "a\nd\n"
