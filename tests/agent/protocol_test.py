#!/usr/bin/python3
"""Holds docs/protocol.md, docs/protocol.schema.json and what is really sent against each other.

    protocol_test.py ROOT [RECORD...]

Every message that the page describes is in the schema and the other way round, with the same fields; every example on the
page, and every line of the RECORDs (JSON lines, as sent), is valid; and together the RECORDs hold each message of the
agent's at least once.
"""
import json
import re
import sys

import jsonschema

root, records = sys.argv[1], sys.argv[2:]
schema = json.load(open(root + "/docs/protocol.schema.json"))
page = open(root + "/docs/protocol.md", encoding="utf-8").read()
failed = 0


def fail(text):
    global failed
    failed += 1
    print(text)


def table(text):
    """The words in the first column of the first table."""
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith("| field |"):
            next(lines)
            return [row.split("|")[1].strip().strip("`") for row in take(lines)]
    return []


def take(lines):
    for line in lines:
        if not line.startswith("|"):
            return
        yield line


jsonschema.Draft202012Validator.check_schema(schema)
definitions = schema["$defs"]
messages = [ref["$ref"].rsplit("/", 1)[1] for ref in schema["oneOf"]]
sections = dict(re.findall(r"^### proviso/([a-z]+)/1\n(.*?)(?=^##|\Z)", page, re.M | re.S))
if set(sections) != set(messages):
    fail("described in only one of page and schema: %s" % sorted(set(sections) ^ set(messages)))
for name, text in sections.items():
    fields = set(definitions.get(name, {}).get("properties", {})) - {"schema"}
    if set(table(text)) != fields:
        fail("%s: fields in only one of page and schema: %s" % (name, sorted(set(table(text)) ^ fields)))
request = table(page[page.index("`request` holds") :])
if set(request) != set(definitions["request"]["properties"]):
    fail("request: fields in only one of page and schema")


def validator(name):
    return jsonschema.Draft202012Validator({"$schema": schema["$schema"], "$defs": definitions, "$ref": "#/$defs/" + name})


validators = {name: validator(name) for name in messages}


def check(text, where):
    message = json.loads(text)
    kind = message.get("schema", "").split("/")
    if len(kind) != 3 or kind[1] not in validators:
        fail("%s: no such message: %s" % (where, message.get("schema")))
        return None
    for error in validators[kind[1]].iter_errors(message):
        fail("%s: %s: %s" % (where, "/".join(map(str, error.path)), error.message))
    return kind[1]


examples = re.findall(r"^```json\n(.*?)^```", page, re.M | re.S)
if len(examples) < 5:
    fail("the page has no examples")
for number, example in enumerate(examples, 1):
    check(example, "example %d" % number)

seen, lines = set(), 0
for record in records:
    for number, line in enumerate(open(record, encoding="utf-8"), 1):
        seen.add(check(line, "%s:%d" % (record, number)))
        lines += 1
if records:
    missing = set(messages) - seen - {"submit", "cancel", "outcome"}
    if missing:
        fail("never sent in the tests: %s" % sorted(missing))
print("%d examples, %d recorded messages, %d failures" % (len(examples), lines, failed))
sys.exit(1 if failed else 0)
