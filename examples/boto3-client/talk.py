"""Talks to a deployed hello-agent with plain boto3. Nothing here knows of Coracle.

Which server is meant comes from the environment alone: `AWS_ENDPOINT_URL`, `AWS_SHARED_CREDENTIALS_FILE` and
`AWS_DEFAULT_REGION`. Usage: `python talk.py <ARN of the runtime>`.
"""

import contextlib
import json
import sys
import threading
import time
import uuid
from collections.abc import Iterator

import boto3
from botocore.config import Config

# The first answer of a session may have to wait for a machine to boot in emulation.
client = boto3.client("bedrock-agentcore", config=Config(read_timeout=180, retries={"total_max_attempts": 1}))


def tokens(arn: str, session: str, prompt: str) -> Iterator[str]:
    """Invokes the agent and gives its answer as it arrives."""
    answer = client.invoke_agent_runtime(
        agentRuntimeArn=arn,
        runtimeSessionId=session,
        payload=json.dumps({"prompt": prompt}),
        contentType="application/json",
    )
    for line in answer["response"].iter_lines(chunk_size=1):
        if line.startswith(b"data: "):
            yield json.loads(line.removeprefix(b"data: "))


@contextlib.contextmanager
def waiting() -> Iterator[None]:
    """Counts the seconds on a terminal, so that a boot in emulation does not look like a hang."""
    done = threading.Event()

    def count() -> None:
        seconds = 0
        while not done.wait(1):
            seconds += 1
            print(f"\r    agent  … {seconds} s", end="", flush=True)

    counter = threading.Thread(target=count)
    if sys.stdout.isatty():
        counter.start()
    try:
        yield
    finally:
        done.set()
        if counter.ident:
            counter.join()
            print("\r    agent          \r    agent  ", end="", flush=True)


def ask(arn: str, session: str, prompt: str) -> str:
    """Asks, prints the answer token by token, and says how long it took."""
    print(f"    you    {prompt}\n    agent  ", end="", flush=True)
    start = time.monotonic()
    answer = tokens(arn, session, prompt)
    with waiting():
        said = token = next(answer)
    first = time.monotonic() - start
    while token:
        print(token.replace("\n", "\n           "), end="", flush=True)
        token = next(answer, "")
        said += token
    whole = time.monotonic() - start
    print(f"\n           (first token after {first:.2f} s, all of it after {whole:.2f} s)\n")
    return said


def main(arn: str) -> None:
    one, other = f"demo-{uuid.uuid4()}", f"demo-{uuid.uuid4()}"

    print("  A session: its own machine boots, then the answer arrives token by token")
    ask(arn, one, "I like tea")
    ask(arn, one, "write tea.txt: Assam, four minutes")

    print("  The same session again: it remembers, and has its file")
    assert "I like tea" in ask(arn, one, "What did I say?")
    assert "tea.txt" in ask(arn, one, "list files")

    print("  Another session: another machine, which knows neither")
    assert "not said anything" in ask(arn, other, "What did I say?")
    assert "no files" in ask(arn, other, "list files")

    print("  Both sessions stopped; what they had is gone")
    for session in (one, other):
        start = time.monotonic()
        client.stop_runtime_session(agentRuntimeArn=arn, runtimeSessionId=session)
        print(f"    {session}  ({time.monotonic() - start:.2f} s)")


if __name__ == "__main__":
    main(sys.argv[1])
