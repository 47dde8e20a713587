#!/usr/bin/env python3
"""Writes weir(1) and weir.yaml(5): from what the program says of itself, and from docs/.

usage: packaging/man_pages.py PROGRAM VERSION YYYY-MM-DD FOLDER
"""

import json
import pathlib
import re
import subprocess
import sys

DOCS = pathlib.Path(__file__).resolve().parents[1] / "docs"


def escaped(text):
    return text.replace("\\", "\\e").replace("-", "\\-")


def line(text):
    """A line of text: what roff would take for a request is none."""
    return "\\&" + text if text[:1] in (".", "'") else text


def inline(text):
    """Markdown within a paragraph."""
    parts = re.split(r"(`[^`]+`|\*\*[^*]+\*\*|\[[^\]]+\]\([^)]+\))", text)
    words = []
    for part in parts:
        if part.startswith("`"):
            words.append(f"\\fB{escaped(part[1:-1])}\\fR")
        elif part.startswith("**"):
            words.append(f"\\fI{inline(part[2:-2])}\\fR")
        elif part.startswith("[") and part.endswith(")"):
            words.append(inline(part[1:part.index("](")]))
        else:
            words.append(escaped(part))
    return "".join(words)


def cells(row):
    """A table's row; `\\|` is a bar within a cell."""
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", row.strip())[1:-1]]


def table(rows):
    """A table as a list of what its first column names."""
    head, body = cells(rows[0]), [cells(row) for row in rows[2:]]
    lines = []
    for first, *others in body:
        lines += [".TP", line(inline(first))]
        if head[1:] == ["value", "default", "meaning"]:
            value, default, meaning = others
            word = "" if default == "required" else "default "
            kind = value + (f"; {word}{default}" if default else "")
            lines += [line(inline(meaning)), ".br", line(inline(f"({kind})"))]
        else:
            lines.append(line(inline("; ".join(part for part in others if part))) or "\\&")
    return lines


def blocks(markdown):
    """Paragraphs, tables, lists, code blocks and headings: (kind, lines)."""
    kind, lines = None, []
    for text in markdown.splitlines() + [""]:
        if kind == "code":
            if text.startswith("```"):
                yield kind, lines
                kind, lines = None, []
            else:
                lines.append(text)
            continue
        if text.startswith("```"):
            now = "code"
        elif text.startswith("#"):
            now = "heading"
        elif text.startswith("|"):
            now = "table"
        elif text.startswith("- "):
            now = "item"
        elif text.startswith("    ") and kind in (None, "example"):
            now = "example"
        elif text.strip():
            now = kind if kind in ("paragraph", "item") else "paragraph"
        else:
            now = None
        if lines and (now != kind or now in ("heading",) or text.startswith("- ")):
            yield kind, lines
            lines = []
        kind = now
        if now and not text.startswith("```"):
            lines.append(text.strip() if now != "example" else text[4:])


def rendered(markdown):
    """Markdown of docs/ as requests of man(7)."""
    lines = []
    for kind, block in blocks(markdown):
        if kind == "heading":
            title = block[0].lstrip("#").strip()
            deep = block[0].startswith("###")
            lines.append(f".SS {escaped(title)}" if deep else f".SH {escaped(title.upper())}")
        elif kind == "table":
            lines += table(block)
            lines.append(".PP")
        elif kind in ("code", "example"):
            lines += [".PP", ".EX", *[line(escaped(text)) for text in block], ".EE"]
        elif kind == "item":
            lines += [".IP \\(bu 2", *[line(inline(text)) for text in [" ".join(block)[2:]]]]
        else:
            lines += [".PP", line(inline(" ".join(block)))]
    return tidied(lines)


def tidied(lines):
    """Without paragraphs that stand before a heading or another one."""
    kept = []
    if lines and lines[0] == ".PP":
        lines = lines[1:]
    for text in lines:
        if kept and kept[-1] == ".PP" and (text == ".PP" or text.startswith((".S", ".IP"))):
            kept.pop()
        if text == ".PP" and kept and kept[-1].startswith(".S"):
            continue
        kept.append(text)
    return kept[:-1] if kept and kept[-1] == ".PP" else kept


def section(page, heading):
    """A section of a page of docs/, its heading not included."""
    text = (DOCS / page).read_text()
    match = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, re.S | re.M)
    if match is None:
        sys.exit(f"docs/{page} has no section '{heading}'")
    return match[1]


def option(argument):
    """The tag and the text of an option or argument."""
    names = ["-" * (1 if name["kind"] == "short" else 2) + name["name"]
             for name in argument.get("names", [])]
    value = f" \\fI{escaped(argument['valueName'].upper())}\\fR" if argument["kind"] != "flag" else ""
    tag = ", ".join(f"\\fB{escaped(name)}\\fR" for name in names) + value
    text = argument.get("abstract", "")
    if argument.get("defaultValue"):
        text += f" (default {argument['defaultValue']})"
    return [".TP", tag.strip(), line(escaped(text)) or "\\&"]


def command_lines(command):
    lines = [f".SS weir {command['commandName']}", line(escaped(command.get("abstract", "")))]
    if command.get("discussion"):
        for paragraph in command["discussion"].split("\n\n"):
            lines += [".PP", line(inline(" ".join(paragraph.split())))]
    for argument in command.get("arguments", []):
        names = {name["name"] for name in argument.get("names", [])}
        if argument.get("shouldDisplay", True) and not names & {"help", "version"}:
            lines += option(argument)
    return lines


def header(name, number, version, date):
    return [f'.TH {name.upper()} {number} {date} "weir {version}"']


def weir_1(program, version, date):
    dump = json.loads(subprocess.run(
        [program, "--experimental-dump-help"], capture_output=True, text=True, check=True).stdout)
    command = dump["command"]
    lines = header("weir", 1, version, date)
    lines += [".SH NAME", "weir \\- proxy for HTTP/2 and gRPC", ".SH SYNOPSIS",
              "\\fBweir\\fR \\fICOMMAND\\fR [\\fIOPTION\\fR]...", ".SH DESCRIPTION"]
    lines += rendered((DOCS.parent / "packaging/weir.1.md").read_text())
    lines += [".SH COMMANDS"]
    for each in command["subcommands"]:
        if each.get("shouldDisplay", True) and each["commandName"] != "help":
            lines += command_lines(each)
    lines += [".SH SIGNALS AND EXIT STATUS", *rendered(section("operations.md", "The process"))]
    lines += [".SH ENVIRONMENT", *rendered(section("operations.md", "Under a supervisor"))]
    lines += [".SH FILES", ".TP", "\\fI/etc/weir/weir.yaml\\fR", "The service's configuration.",
              ".TP", "\\fI/run/weir\\fR", "For unix sockets.", ".TP", "\\fI/var/log/weir\\fR",
              "For access logs.", ".SH SEE ALSO", "\\fBweir.yaml\\fR(5), \\fBsystemd.service\\fR(5)",
              ".PP", "The pages that this one names are in", "\\fI/usr/share/doc/weir/docs\\fR."]
    return lines


def weir_yaml_5(version, date):
    text = (DOCS / "configuration.md").read_text()
    lines = header("weir.yaml", 5, version, date)
    lines += [".SH NAME", "weir.yaml \\- configuration of weir", ".SH DESCRIPTION"]
    lines += rendered(text.split("\n", 1)[1])
    return lines + [".SH SEE ALSO", "\\fBweir\\fR(1)", ".PP", "The pages that this one names are in",
                    "\\fI/usr/share/doc/weir/docs\\fR."]


def main():
    program, version, date, folder = sys.argv[1:]
    pages = {"weir.1": weir_1(program, version, date), "weir.yaml.5": weir_yaml_5(version, date)}
    for name, lines in pages.items():
        pathlib.Path(folder, name).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
