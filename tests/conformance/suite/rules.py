"""Rules across members (those the model cannot say): completes a request so that they hold."""

import copy
from typing import Any

from suite.model import Path

Request = dict[str, Any]
VPC = {
    "networkMode": "VPC",
    "networkModeConfig": {"securityGroups": ["sg-0a1b2c3d"], "subnets": ["subnet-0a1b2c3d"]},
}
LATTICE = {"selfManagedLatticeResource": {"resourceConfigurationIdentifier": "rcfg-0123456789abcdefg"}}
PROVIDER = {
    "capacityProviderArn": "arn:aws:bedrock-agentcore:us-east-1:000000000000:capacity-provider/sample-AbCdEf0123"
}


def completed(request: Request) -> Request:
    """The request with what its members need beside them."""
    request = copy.deepcopy(request)
    network = request.get("networkConfiguration")
    if network and network["networkMode"] == "VPC":
        network.setdefault("networkModeConfig", VPC["networkModeConfig"])
    kinds = [kind for each in request.get("filesystemConfigurations", []) for kind in each]
    if "capacityProviderVolume" in kinds:
        request.setdefault("capacityProviderConfiguration", PROVIDER)
    lifecycle = request.get("lifecycleConfiguration", {})
    if lifecycle.get("idleRuntimeSessionTimeout", 0) > 28_800:
        lifecycle.setdefault("maxLifetime", lifecycle["idleRuntimeSessionTimeout"])
    code = request.get("agentRuntimeArtifact", {}).get("codeConfiguration")
    if code:
        extension = ".js" if code["runtime"] == "NODE_22" else ".py"
        if not code["entryPoint"][-1].endswith(extension):
            # What was meant to be tested is a launcher, then.
            code["entryPoint"] = [code["entryPoint"][0], f"main{extension}"]
    for port in request.get("allowedPorts", []):
        if "portRange" in port and port["portRange"]["from"] > port["portRange"]["to"]:
            port["portRange"]["to"] = port["portRange"]["from"]
        if "portRange" in port and port["portRange"]["to"] > 8443 > port["portRange"]["from"]:
            port["portRange"]["from"] = port["portRange"]["to"]
    authorizer = request.get("authorizerConfiguration", {}).get("customJWTAuthorizer")
    if authorizer is not None:
        _complete_authorizer(authorizer)
    return request


def _complete_authorizer(authorizer: Request) -> None:
    if not {"allowedAudience", "allowedClients", "allowedScopes", "customClaims"} & set(authorizer):
        authorizer["allowedAudience"] = ["audience"]
    if "certificateConfigurations" in authorizer:
        authorizer.setdefault("privateEndpoint", LATTICE)
    for claim in authorizer.get("customClaims", []):
        match = claim["authorizingClaimMatchValue"]
        equals = match["claimMatchOperator"] == "EQUALS"
        claim["inboundTokenClaimValueType"] = "STRING" if equals else "STRING_ARRAY"


def refused(path: Path) -> bool:
    """Whether a place takes no value at all on a runtime that is new, or on this server."""
    return path[-1:] == ("requireServiceS3Endpoint",) or bool({"efsAccessPoint", "s3FilesAccessPoint"} & set(path))


EVERYTHING: Request = {
    "networkConfiguration": VPC,
    "description": "all members at once",
    "authorizerConfiguration": {
        "customJWTAuthorizer": {
            "discoveryUrl": "https://example.com/.well-known/openid-configuration",
            "allowedAudience": ["audience"],
            "allowedClients": ["client"],
            "allowedScopes": ["read", "write"],
            "advertisedScopeMapping": {"read": "api/read"},
            "customClaims": [
                {
                    "inboundTokenClaimName": "team",
                    "inboundTokenClaimValueType": "STRING_ARRAY",
                    "authorizingClaimMatchValue": {
                        "claimMatchOperator": "CONTAINS_ANY",
                        "claimMatchValue": {"matchValueStringList": ["boats", "rowers"]},
                    },
                }
            ],
            "privateEndpoint": LATTICE,
            "privateEndpointOverrides": [{"domain": "example.com", "privateEndpoint": LATTICE}],
            "certificateConfigurations": [{"s3": {"uri": "s3://bucket/ca.pem"}}],
            "allowedWorkloadConfiguration": {"workloadIdentities": ["identity"]},
        }
    },
    "requestHeaderConfiguration": {"requestHeaderAllowlist": ["Authorization", "X-Sample"]},
    "protocolConfiguration": {"serverProtocol": "MCP", "port": 9001, "path": "/tools"},
    "lifecycleConfiguration": {"idleRuntimeSessionTimeout": 120, "maxLifetime": 3600},
    "hooksConfiguration": {"build": {"warmup": {"action": {"httpPost": {"path": "/warm", "port": 9001}}}}},
    "environmentVariables": {"NAME": "value", "EMPTY": ""},
    "filesystemConfigurations": [{"sessionStorage": {"mountPath": "/mnt/data"}}],
    "platformVersion": "V1",
    "allowedPorts": [{"port": 9001}, {"portRange": {"from": 10_000, "to": 10_010}}],
    "resourceConfigurations": [{"minimumMemoryInMiB": 4096}],
}
