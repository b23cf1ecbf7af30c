"""Starts sessions of images in turn through boto3, and prints how long each took to its first byte, as JSON.

Run by `coracle bench images` beside `client.py`, with what to measure as its only argument (JSON).
"""

import json
import sys

from client import Runtime, Server, new_session, progress

WARM_UP = 2


def start(runtime):
    session = new_session()
    taken = runtime.first_byte(session)
    runtime.end([session])
    runtime.none_left()
    return taken


def main():
    plan = json.loads(sys.argv[1])
    server = Server(plan["data_dir"])
    runtimes, measured = {}, {}
    for image in plan["images"]:
        name = image["name"]
        progress(f"{name}: making the template")
        artifact = {"containerConfiguration": {"containerUri": image["uri"]}}
        arn, create_to_ready = server.create(name, artifact, "V2")
        runtimes[name] = Runtime(server, arn)
        measured[name] = {"name": name, "create_to_ready_seconds": create_to_ready, "seconds": []}
    progress(f"{plan['sessions']} sessions of each image, restored in turn")
    for number in range(WARM_UP + plan["sessions"]):
        # Who comes first changes, so that what one leaves behind meets both.
        for name in sorted(runtimes, reverse=number % 2):
            measured[name]["seconds"].append(start(runtimes[name]))
    for image in measured.values():
        del image["seconds"][:WARM_UP]
    print(json.dumps(list(measured.values())))


if __name__ == "__main__":
    main()
