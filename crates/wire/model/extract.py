#!/usr/bin/env python3
"""Writes the facts of the two AgentCore service models that an installed boto3 carries.

    python crates/wire/model/extract.py

Facts are names, HTTP bindings, types and constraints; documentation text is left out. The output is the
same for the same botocore, one operation or shape a line. A trait that this script does not know stops it,
so that nothing which changes the wire format is dropped in silence.
"""

import gzip
import json
import pathlib
import sys

import botocore

SERVICES = {
    "bedrock-agentcore-control": "2023-06-05",
    "bedrock-agentcore": "2024-02-28",
}

KEPT_SHAPE_TRAITS = ["required", "min", "max", "pattern", "enum", "payload", "timestampFormat"]
KEPT_SHAPE_FLAGS = ["union", "sensitive", "streaming", "document", "eventstream", "event"]
KEPT_MEMBER_TRAITS = ["location", "locationName"]
KEPT_MEMBER_FLAGS = ["idempotencyToken"]
# Known and without effect on a server: documentation, and hints to clients and code generators.
DROPPED = {
    "documentation", "box", "exception", "fault", "retryable", "readonly",
    "deprecated", "deprecatedMessage", "deprecatedSince",
}


def refuse_unknown(where, traits, known):
    unknown = set(traits) - set(known) - DROPPED
    if unknown:
        sys.exit(f"{where}: unknown traits {sorted(unknown)}")


def kept(source, traits, flags):
    facts = {trait: source[trait] for trait in traits if trait in source}
    facts.update({flag: True for flag in flags if source.get(flag)})
    return facts


def reference(where, source):
    refuse_unknown(where, source, {"shape"})
    return source["shape"]


def member(where, name, source):
    refuse_unknown(where, source, {"shape", *KEPT_MEMBER_TRAITS, *KEPT_MEMBER_FLAGS})
    return {"name": name, "target": source["shape"], **kept(source, KEPT_MEMBER_TRAITS, KEPT_MEMBER_FLAGS)}


def shape(name, source):
    nested = {"member": "item", "key": "key", "value": "value"}
    refuse_unknown(name, source, {"type", "members", "error", *nested, *KEPT_SHAPE_TRAITS, *KEPT_SHAPE_FLAGS})
    facts = {"type": source["type"]}
    if "members" in source:
        facts["members"] = [member(f"{name}.{m}", m, source["members"][m]) for m in source["members"]]
    for trait, kept_as in nested.items():
        if trait in source:
            facts[kept_as] = reference(f"{name}.{trait}", source[trait])
    facts.update(kept(source, KEPT_SHAPE_TRAITS, KEPT_SHAPE_FLAGS))
    if "error" in source:
        error = source["error"]
        facts["error"] = {"code": error.get("code", name), "status": error["httpStatusCode"]}
    return facts


def operation(name, source):
    refuse_unknown(name, source, {"name", "http", "input", "output", "errors", "idempotent"})
    refuse_unknown(f"{name}.http", source["http"], {"method", "requestUri", "responseCode"})
    facts = {
        "method": source["http"]["method"],
        "uri": source["http"]["requestUri"],
        "status": source["http"]["responseCode"],
        "input": reference(name, source["input"]),
        "output": reference(name, source["output"]),
        "errors": sorted(reference(name, error) for error in source["errors"]),
    }
    if source.get("idempotent"):
        facts["idempotent"] = True
    return facts


def lines(entries):
    rendered = (f"{json.dumps(name)}:{json.dumps(entries[name], separators=(',', ':'))}" for name in sorted(entries))
    return ",\n".join(rendered)


def extract(service, api_version):
    path = pathlib.Path(botocore.__file__).parent / "data" / service / api_version / "service-2.json.gz"
    with gzip.open(path) as file:
        model = json.load(file)
    operations = {name: operation(name, source) for name, source in model["operations"].items()}
    shapes = {name: shape(name, source) for name, source in model["shapes"].items()}
    return (
        f'{{"botocore":{json.dumps(botocore.__version__)},\n'
        f'"service":{json.dumps(service)},\n'
        f'"apiVersion":{json.dumps(api_version)},\n'
        f'"operations":{{\n{lines(operations)}\n}},\n'
        f'"shapes":{{\n{lines(shapes)}\n}}}}\n'
    )


def main():
    folder = pathlib.Path(__file__).parent
    for service, api_version in SERVICES.items():
        (folder / f"{service}.json").write_text(extract(service, api_version), encoding="utf-8")


if __name__ == "__main__":
    main()
