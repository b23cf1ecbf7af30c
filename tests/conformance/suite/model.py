"""Walks the service model: every place a value can be in a request, values that fit it, and values that do not.

A *place* is a path from the operation's input: member names, `[]` for the items of a list, `{k}` and `{v}` for
the keys and values of a map. `request_with` makes the smallest request in which the place exists.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.model import OperationModel, Shape

Path = tuple[str, ...]
ITEM, KEY, VALUE = "[]", "{k}", "{v}"
MAP_KEY = "key"

# Values for shapes whose pattern says more than "some characters".
SAMPLES: dict[str, Any] = {
    "AgentRuntimeName": "sample",
    "RuntimeContainerUri": "000000000000.dkr.ecr.us-east-1.amazonaws.com/team/agent:1",
    "S3LocationBucketString": "sample-bucket",
    "S3LocationPrefixString": "code.zip",
    "RoleArn": "arn:aws:iam::000000000000:role/sample",
    "SecurityGroupId": "sg-0a1b2c3d",
    "SecurityGroupIdentifier": "sg-0a1b2c3d",
    "SubnetId": "subnet-0a1b2c3d",
    "VpcIdentifier": "vpc-0a1b2c3d",
    "ClientToken": "0123456789abcdef-0123456789abcdef-0",
    "DiscoveryUrl": "https://example.com/.well-known/openid-configuration",
    "ResourceConfigurationIdentifier": "rcfg-0123456789abcdefg",
    "CertificateS3Uri": "s3://bucket/ca.pem",
    "CertificateBucketOwnerAccountId": "000000000000",
    "CertificateSecretArn": "arn:aws:secretsmanager:us-east-1:000000000000:secret:ca",
    "BedrockAgentcoreResourceArn": "arn:aws:bedrock-agentcore:us-east-1:000000000000:runtime/sample-AbCdEf0123",
    "HeaderName": "X-Sample",
    "ServerPath": "/sample",
    "LifecycleHookPath": "/warm",
    "entryPoint": "main.py",
    "MountPath": "/mnt/data",
    "S3FilesAccessPointArn": (
        "arn:aws:s3files:us-east-1:000000000000:file-system/fs-0123456789abcdef0/access-point/fsap-0123456789abcdef0"
    ),
    "EfsAccessPointArn": "arn:aws:elasticfilesystem:us-east-1:000000000000:access-point/fsap-0123456789abcdef0",
    "CapacityProviderVolumeName": "volume",
    "CapacityProviderArn": "arn:aws:bedrock-agentcore:us-east-1:000000000000:capacity-provider/sample-AbCdEf0123",
    "ServerProtocol": "HTTP",
    "AgentRuntimeVersion": "1",
    "EndpointName": "sample",
    "AgentRuntimeId": "sample-AbCdEf0123",
    "Integer": 2048,
}
# Places where this server takes more than the model's pattern.
ANY_PATTERN = {"RuntimeContainerUri"}
UNFIT = ["!", " ", "\u00e4", "-", "a b", "%", "x" * 5000]


def text(shape: Shape, length: int | None = None) -> str | None:
    """A value that fits a string shape, of this length if it can be had."""
    metadata = shape.metadata
    if length is None and "enum" in metadata:
        return metadata["enum"][0]
    sample = SAMPLES.get(shape.name, "a" * max(metadata.get("min", 0), 1))
    if length is None:
        return sample
    candidates = [
        sample[:cut] + filler * (length - len(sample)) + sample[cut:]
        for cut in range(len(sample), -1, -1)
        for filler in "a0"
        if length >= len(sample)
    ]
    candidates += [sample[:length], "a" * length, ("/" + "a" * length)[:length]]
    return next((each for each in candidates if len(each) == length and matches(shape, each)), None)


def matches(shape: Shape, value: str) -> bool:
    pattern = shape.metadata.get("pattern")
    return pattern is None or re.fullmatch(pattern, value) is not None


def fitting(shape: Shape) -> Any:
    """The smallest value that fits."""
    match shape.type_name:
        case "structure" if shape.metadata.get("union"):
            name, member = next(iter(shape.members.items()))
            return {name: fitting(member)}
        case "structure":
            return {name: fitting(shape.members[name]) for name in shape.required_members}
        case "list":
            return [fitting(shape.member)]
        case "map":
            return {MAP_KEY: fitting(shape.value)}
        case "string":
            return text(shape)
        case "integer" | "long":
            return SAMPLES.get(shape.name, shape.metadata.get("min", 1))
        case "boolean":
            return True
        case "blob":
            return b"{}"
        case other:
            raise AssertionError(f"no value is known for a {other}")


def places(shape: Shape, path: Path = (), above: frozenset[str] = frozenset()) -> Iterator[tuple[Path, Shape]]:
    """Every place below a shape, and what may be there."""
    if path:
        yield path, shape
    match shape.type_name:
        case "structure" if shape.name not in above:
            for name, member in shape.members.items():
                yield from places(member, (*path, name), above | {shape.name})
        case "list":
            yield from places(shape.member, (*path, ITEM), above)
        case "map":
            yield (*path, KEY), shape.key
            yield from places(shape.value, (*path, VALUE), above)


def request_with(shape: Shape, path: Path, value: Any) -> Any:
    """The smallest fitting value of a shape in which this value is at this place."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    match step:
        case "[]":
            return [request_with(shape.member, rest, value)]
        case "{k}":
            return {value: fitting(shape.value)}
        case "{v}":
            return {MAP_KEY: request_with(shape.value, rest, value)}
    whole = {} if shape.metadata.get("union") else fitting(shape)
    return whole | {step: request_with(shape.members[step], rest, value)}


def field(operation: OperationModel, path: Path, key: str = MAP_KEY) -> str:
    """A place as `fieldList` names it. Keys of sensitive maps are not repeated."""
    names: list[str] = []
    shape: Shape = operation.input_shape
    for step in path:
        if step == ITEM:
            names.append("1")
            shape = shape.member
        elif step in (KEY, VALUE):
            if not shape.metadata.get("sensitive"):
                names.append(key[:64])
            shape = shape.key if step == KEY else shape.value
        else:
            names.append(step)
            shape = shape.members[step]
    return ".".join(names)


@dataclass
class Broken:
    """A value that breaks one constraint at a place."""

    what: str
    value: Any
    # Where the answer names it, below the place.
    below: str = ""


def broken(shape: Shape) -> Iterator[Broken]:
    """Values that break each constraint of a shape in turn."""
    metadata = shape.metadata
    least, most = metadata.get("min"), metadata.get("max")
    match shape.type_name:
        case "string":
            yield Broken("wrong type", 7)
            if least:
                yield Broken("below min", text(shape, least - 1) or "a" * (least - 1))
            if most is not None:
                yield Broken("above max", text(shape, most + 1) or "a" * (most + 1))
            if "pattern" in metadata and shape.name not in ANY_PATTERN and (value := unfit(shape)):
                yield Broken("pattern", value)
            if "enum" in metadata:
                yield Broken("enum", "NONE_OF_THESE")
                yield Broken("enum in other case", metadata["enum"][0].lower())
        case "integer" | "long":
            yield Broken("wrong type", "text")
            yield Broken("fraction", 9000.5)
            yield Broken("more than 32 bits", 2**31)
            if least is not None:
                yield Broken("below min", least - 1)
            if most is not None:
                yield Broken("above max", most + 1)
        case "boolean":
            yield Broken("wrong type", "true")
        case "list":
            yield Broken("wrong type", "text")
            yield Broken("null item", [None], "1")
            if least:
                yield Broken("below min", [fitting(shape.member)] * (least - 1))
            if most is not None:
                yield Broken("above max", [fitting(shape.member)] * (most + 1))
        case "map":
            yield Broken("wrong type", "text")
            if least:
                yield Broken("below min", {})
            if most is not None:
                yield Broken("above max", {f"key{index}": fitting(shape.value) for index in range(most + 1)})
        case "structure":
            yield Broken("wrong type", "text")
            if shape.metadata.get("union"):
                yield Broken("no member", {})
                if len(shape.members) > 1:
                    yield Broken("two members", {name: fitting(each) for name, each in list(shape.members.items())[:2]})
            for name in shape.required_members:
                rest = {other: value for other, value in fitting(shape).items() if other != name}
                yield Broken(f"{name} missing", rest, name)
                yield Broken(f"{name} null", rest | {name: None}, name)


def unfit(shape: Shape) -> str | None:
    """Text that breaks the pattern and nothing else."""
    least, most = shape.metadata.get("min", 0), shape.metadata.get("max", 10_000)
    for each in UNFIT:
        value = each * max(1, -(-least // len(each)))
        if least <= len(value) <= most and not matches(shape, value):
            return value
    return None


def at_bounds(shape: Shape) -> Iterator[tuple[str, Any]]:
    """Values that are just allowed."""
    metadata = shape.metadata
    least, most = metadata.get("min"), metadata.get("max")
    match shape.type_name:
        case "string":
            for value in metadata.get("enum", []):
                yield f"enum {value}", value
            for name, length in (("min", least), ("max", most)):
                if length is not None and (value := text(shape, length)) is not None:
                    yield name, value
        case "integer" | "long":
            for name, value in (("min", least), ("max", most)):
                if value is not None:
                    yield name, value
        case "boolean":
            yield from (("true", True), ("false", False))
        case "list" if least == 0:
            yield "empty", []
        case "map":
            if least == 0:
                yield "empty", {}
            if most is not None:
                yield "max", {f"key{index}": fitting(shape.value) for index in range(most)}


def check_output(shape: Shape, value: Any, where: str = "") -> Iterator[str]:
    """What a parsed answer lacks or has otherwise than the model says."""
    types = {
        "structure": dict,
        "map": dict,
        "list": list,
        "string": str,
        "integer": int,
        "long": int,
        "boolean": bool,
    }
    expected = types.get(shape.type_name)
    if expected and not isinstance(value, expected):
        yield f"{where} is a {type(value).__name__} and not a {shape.type_name}"
        return
    match shape.type_name:
        case "structure":
            for name in shape.required_members:
                if name not in value:
                    yield f"{where}.{name} is missing"
            for name, member in shape.members.items():
                if name in value:
                    yield from check_output(member, value[name], f"{where}.{name}")
        case "list":
            for index, item in enumerate(value):
                yield from check_output(shape.member, item, f"{where}.{index}")
        case "map":
            for key, item in value.items():
                yield from check_output(shape.value, item, f"{where}.{key}")
        case "string":
            if "enum" in shape.metadata and value not in shape.metadata["enum"]:
                yield f"{where} is {value!r}, which the model has not"
            if shape.name not in ANY_PATTERN and not matches(shape, value):
                yield f"{where} is {value!r}, which does not match {shape.metadata['pattern']}"
            # Lists must have a description, also of what has none (contract: then it is empty).
            if value == "" and where.endswith(".description"):
                return
            if not shape.metadata.get("min", 0) <= len(value) <= shape.metadata.get("max", 10**9):
                yield f"{where} has length {len(value)}"
