"""Whatever the program can say of itself has its place in docs/."""

import re

import pytest

import weir

SOURCES = weir.ROOT / "Sources"


def text(path):
    return (weir.ROOT / path).read_text()


def body(path, heading):
    """From a declaration to the brace that closes it."""
    source = text(path)
    start = source.index(heading)
    depth = 0
    for place in range(source.index("{", start), len(source)):
        depth += {"{": 1, "}": -1}.get(source[place], 0)
        if depth == 0:
            return source[start:place]
    raise AssertionError(f"{path}: {heading} does not end")


def cases(declaration):
    """The names of an enumeration's cases."""
    lists = re.findall(r"^\s*case ([\w, ]+)$", declaration, re.M)
    return [name for each in lists for name in each.split(", ")]


def all_swift(*folders):
    for folder in folders:
        for path in sorted((SOURCES / folder).rglob("*.swift")):
            yield path.read_text()


def metrics():
    pattern = r'"((?:weir|process|grpc)_\w+)"'
    found = {name for source in all_swift("Control/Ports") for name in re.findall(pattern, source)}
    return sorted(found - {"grpc_method", "grpc_target", "grpc_status"})


def counters():
    return cases(body("Sources/Proxy/Telemetry/Counters.swift", "enum Event"))


def limits():
    return re.findall(r': "([\w.]+)"', body("Sources/Proxy/Telemetry/Limit.swift", "var name"))


def log_fields():
    return re.findall(r'Key\(",\\"(\w+)', text("Sources/Proxy/Telemetry/AccessLogLine.swift"))


def reasons():
    named = body("Sources/Proxy/Telemetry/ExchangeAccount.swift", "var name: StaticString")
    return [name for name in re.findall(r': "(\w+)"', named) if name != "open"]


def log_lines():
    """What a line of Weir's own log begins with, up to the first value in it."""
    pattern = r'(?:log\.write\(\s*\.\w+,|logger\.\w+\()\s*"([^"\\]{8,})'
    return sorted({line.strip() for source in all_swift("Control", "Proxy")
                   for line in re.findall(pattern, source)})


def variables():
    listed = body("Sources/Control/Supervisor/SupervisorTerms.swift", "struct SupervisorTerms")
    return sorted(set(re.findall(r'"([A-Z]+_[A-Z]+)"', listed)))


NAMES = [
    ("docs/metrics.md", "`{}`", metrics, 30), ("docs/operations.md", "`{}`", counters, 10),
    ("docs/operations.md", "`{}`", limits, 30), ("docs/access-log.md", "`{}`", log_fields, 30),
    ("docs/access-log.md", "`{}`", reasons, 20), ("docs/operations.md", "`{}", log_lines, 12),
    ("docs/operations.md", "`{}`", variables, 6),
]


@pytest.mark.parametrize(
    ("page", "form", "names", "least"), NAMES, ids=[entry[2].__name__ for entry in NAMES])
def test_every_name_is_documented(page, form, names, least):
    found = names()
    assert len(found) >= least, found
    document = text(page)
    assert [name for name in found if form.format(name) not in document] == []


def test_every_test_that_the_threat_model_names_exists():
    """Files, functions and, where an attack's name stands for one, the attack."""
    page = text("docs/threat-model.md")
    sources = {path.name: path.read_text() for path in (weir.ROOT / "Tests/Interop").glob("*.py")}
    every = "\n".join(sources.values())
    named = re.findall(r"`(test_\w+(?:\.py)?)`", page)
    assert len(named) > 60
    assert [n for n in named if n.endswith(".py") and n not in sources] == []
    assert [n for n in named if not n.endswith(".py") and f"def {n}(" not in every] == []
    attacks = re.findall(r'(?m)^    "([^"]+)": \(', sources["test_attacks.py"])
    assert len(attacks) > 40
    for line in page[page.index("## Floods"):page.index("## What a request")].splitlines():
        if line.startswith("| ") and not line.startswith(("| attack |", "| --- |")):
            words = re.findall(r"`([^`]+)`", line.split(" | ")[3])
            assert words, line
            assert [w for w in words if not w.startswith("test_") and w not in attacks] == [], line
    table = attacks[:attacks.index("2,700 settings in a frame")]
    assert [name for name in table if f"`{name}`" not in page] == []


def test_links_between_pages_lead_somewhere():
    for page in [*weir.ROOT.glob("*.md"), *(weir.ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_every_page_is_in_the_table_of_pages():
    listed = text("docs/README.md")
    for page in (weir.ROOT / "docs").glob("*.md"):
        assert page.name == "README.md" or f"({page.name})" in listed, page.name
