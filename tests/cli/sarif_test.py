#!/usr/bin/env python3
"""`check --format sarif`: valid by the specification's structure, and true to `check --json`.

Over the wrong policies of tests/lang and the lints' scripts: the log satisfies sarif.schema.json; every result names a rule
that is declared at its index; regions do not end before they begin; applying a fix by its code-point columns gives the text
that `--json` says."""
import glob
import json
import os
import subprocess
import sys

import jsonschema

ROOT, BUILD = os.environ["PV_ROOT"], os.environ["PV_BUILD"]
ENVIRONMENT = dict(os.environ, PROVISO_LIBRARY=os.path.join(ROOT, "policies"), LC_ALL="C.UTF-8")


def check(form, files):
    done = subprocess.run([os.path.join(BUILD, "bin", "proviso"), "check", "--format", form, "--now", "2026-11-21", *files],
                          cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


def main():
    with open(os.path.join(ROOT, "tests/cli/sarif.schema.json"), encoding="utf-8") as file:
        schema = json.load(file)
    jsonschema.Draft7Validator.check_schema(schema)
    files = sorted(glob.glob("tests/lang/wrong/*.policy", root_dir=ROOT) + glob.glob("tests/lang/newcomer/*.policy", root_dir=ROOT)
                   + glob.glob("tests/lint/*.policy", root_dir=ROOT))
    log, plain = check("sarif", files), check("json", files)
    jsonschema.validate(log, schema)
    run = log["runs"][0]
    rules, results = run["tool"]["driver"]["rules"], run["results"]
    rows = [(named["file"], row) for named in plain["files"] for row in named["diagnostics"]]
    assert len(results) == len(rows) > 200, (len(results), len(rows))
    assert all(rule["help"]["markdown"].startswith(f"# {rule['id']} {rule['name']}\n") for rule in rules)
    related = fixes = 0
    for (named, row), result in zip(rows, results):
        assert result["ruleId"] == row["code"] == rules[result["ruleIndex"]]["id"], result
        assert result["level"] == row["severity"] == rules[result["ruleIndex"]]["defaultConfiguration"]["level"]
        assert result["message"]["text"].startswith(row["text"]) and (row["hint"] or "") in result["message"]["text"]
        related += len(result["relatedLocations"])
        for place in result["locations"] + result["relatedLocations"]:
            region = place["physicalLocation"].get("region")
            path = place["physicalLocation"]["artifactLocation"]["uri"]
            assert os.path.exists(os.path.join(ROOT, path)) or path.startswith("std/"), path
            assert not region or (region["startLine"], region["startColumn"]) <= (region["endLine"], region["endColumn"])
        replacements = [r for fix in result["fixes"] for change in fix["artifactChanges"] for r in change["replacements"]]
        assert [r["insertedContent"]["text"] for r in replacements] == [fix["text"] for fix in row["fixes"]]
        fixes += len(replacements)
        for replacement, fix in zip(replacements, row["fixes"]):
            region = replacement["deletedRegion"]
            with open(os.path.join(ROOT, os.path.dirname(named), fix["file"]), encoding="utf-8") as file:
                lines = file.read().split("\n")
            start, end = region["startColumn"] - 1, region["endColumn"] - 1
            assert region["startLine"] != region["endLine"] or 0 <= start <= end <= len(lines[region["startLine"] - 1])
    assert related > 10 and fixes > 10, (related, fixes)

    # The schema can refuse.
    for spoil in (lambda l: l.pop("version"), lambda l: l["runs"][0]["results"][0].pop("message"),
                  lambda l: l["runs"][0]["results"][0].update(level="fatal"),
                  lambda l: l["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"].update(startLine=0)):
        bad = json.loads(json.dumps(log))
        spoil(bad)
        try:
            jsonschema.validate(bad, schema)
        except jsonschema.ValidationError:
            continue
        raise AssertionError("the schema takes anything")
    print(f"{len(results)} results, {related} related places, {fixes} replacements")


sys.exit(main())
