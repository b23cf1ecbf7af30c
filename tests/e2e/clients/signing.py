"""Signs what an HTTP client sends, as its authentication."""

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest


def signed(request):
    """The request with a signature; a callable as httpx and its relatives take for authentication."""
    credentials = boto3.Session().get_credentials()
    kept = {name: request.headers[name] for name in ("content-type",) if name in request.headers}
    ours = AWSRequest(request.method, str(request.url), data=request.content, headers=kept)
    SigV4Auth(credentials, "bedrock-agentcore", "us-east-1").add_auth(ours)
    for name, value in ours.headers.items():
        request.headers[name] = value
    return request
