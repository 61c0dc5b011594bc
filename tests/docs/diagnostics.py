#!/usr/bin/env python3
"""Every diagnostic has a page, and every page is true.

docs/diagnostics/PVnnnn.md says what a code means, shows what is wrong and how it is mended. Of each page is checked: its
head is the code and name of diag_codes.def; `proviso explain` prints it; the block under `Wrong:` brings up exactly this
code, with this severity; the block under `Right:` passes. For a lint that means: without any diagnostic.

A block's fence says what it is:
    policy error=PVnnnn|warning=PVnnnn|note=PVnnnn [by=compile]
    sh error=PVnnnn|...      a script that makes wrong.policy, for what is too long or too odd to be shown
"""
import json
import os
import re
import subprocess
import sys
import tempfile

ROOT, BUILD = os.environ["PV_ROOT"], os.environ["PV_BUILD"]
PROVISO = os.path.join(BUILD, "bin", "proviso")
PAGES = os.path.join(ROOT, "docs", "diagnostics")
TODAY = "2026-11-21"
ENVIRONMENT = dict(os.environ, PROVISO_LIBRARY=os.path.join(ROOT, "policies"), NO_COLOR="1", LC_ALL="C.UTF-8")
ROW = re.compile(r'^PV_DIAG\(\w+, (\d+), (ERROR|WARNING|NOTE), "([^"]+)", "((?:[^"\\]|\\.)*)"\)', re.M)
failures = 0


def fail(page, text):
    global failures
    failures += 1
    print(f"{page}: {text}")


def run(arguments, directory):
    return subprocess.run([PROVISO, *arguments], cwd=directory, env=ENVIRONMENT, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=120)


def told(directory, file, by):
    """The (code, severity) pairs that come up, and the exit."""
    if by == "compile":
        done = run(["compile", file, "-o", "out.bundle"], directory)
        return set(re.findall(r"(error|warning|note)\[(PV\d{4})\]", done.stdout + done.stderr)), done.returncode
    done = run(["check", "--json", "--now", TODAY, file], directory)
    try:
        rows = json.loads(done.stdout)["files"][0]["diagnostics"]
    except (ValueError, LookupError):
        return {("no output", done.stderr)}, done.returncode
    return {(row["severity"], row["code"]) for row in rows}, done.returncode


def check_page(code, name, severity):
    page = f"{code}.md"
    path = os.path.join(PAGES, page)
    if not os.path.exists(path):
        return fail(page, "there is no such page")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if not text.startswith(f"# {code} {name}\n"):
        fail(page, f"its head is not `# {code} {name}`")
    done = run(["explain", code], ROOT)
    if done.returncode != 0 or text.split("\n\n", 2)[2] not in done.stdout:
        fail(page, "`proviso explain` does not print it")
    blocks = re.findall(r"^(Wrong|Right):\n\n```([^\n]*)\n(.*?)^```$", text, re.M | re.S)
    if [kind for kind, _, _ in blocks] != ["Wrong", "Right"] or text.count("```") != 4:
        return fail(page, "it has not one wrong and one right example")
    wrong, right = blocks
    match = re.fullmatch(rf"(policy|sh) {severity}={code}( by=compile)?", wrong[1])
    if not match or right[1] != "policy":
        return fail(page, f"unknown fences: {wrong[1]}, {right[1]}")
    by = "compile" if match[2] else "check"
    with tempfile.TemporaryDirectory() as directory:
        if match[1] == "sh":
            subprocess.run(["sh", "-euc", wrong[2]], cwd=directory, check=True, timeout=60)
        else:
            with open(os.path.join(directory, "wrong.policy"), "w", encoding="utf-8") as file:
                file.write(wrong[2])
        found, _ = told(directory, "wrong.policy", by)
        if severity == "error":  # lints beside it are not what is shown
            found = {(kind, other) for kind, other in found if kind == "error"}
        if found != {(severity, code)}:
            fail(page, f"the wrong example is told as {sorted(found)}")
    with tempfile.TemporaryDirectory() as directory:
        with open(os.path.join(directory, "right.policy"), "w", encoding="utf-8") as file:
            file.write(right[2])
        found, status = told(directory, "right.policy", by)
        if severity == "error":
            found = {(kind, other) for kind, other in found if kind == "error"}
        if found or status != 0:
            fail(page, f"the right example is told as {sorted(found)}, exit {status}")


def main():
    with open(os.path.join(ROOT, "engine", "diag_codes.def"), encoding="utf-8") as file:
        rows = ROW.findall(file.read())
    for number, severity, name, _ in rows:
        check_page(f"PV{int(number):04d}", name, severity.lower())
    known = {f"PV{int(row[0]):04d}.md" for row in rows}
    for page in sorted(set(os.listdir(PAGES)) - known - {"README.md"}):
        fail(page, "no diagnostic has this code")
    print(f"{len(rows)} codes, {failures} failures")
    return 1 if failures or not rows else 0


sys.exit(main())
