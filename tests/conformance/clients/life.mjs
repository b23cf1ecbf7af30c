// The life of a runtime through the AWS SDK for JavaScript v3. Arguments: bucket, key, role, name.
import {
  BedrockAgentCoreControlClient,
  CreateAgentRuntimeCommand,
  CreateAgentRuntimeEndpointCommand,
  DeleteAgentRuntimeCommand,
  DeleteAgentRuntimeEndpointCommand,
  DeleteResourcePolicyCommand,
  GetAgentRuntimeCommand,
  GetAgentRuntimeEndpointCommand,
  GetResourcePolicyCommand,
  ListTagsForResourceCommand,
  PutResourcePolicyCommand,
  TagResourceCommand,
  UntagResourceCommand,
  UpdateAgentRuntimeCommand,
  paginateListAgentRuntimeVersions,
} from "@aws-sdk/client-bedrock-agentcore-control";
import {
  BedrockAgentCoreClient,
  InvokeAgentRuntimeCommand,
  StopRuntimeSessionCommand,
} from "@aws-sdk/client-bedrock-agentcore";
import assert from "node:assert/strict";

const [bucket, prefix, roleArn, agentRuntimeName] = process.argv.slice(2);
const control = new BedrockAgentCoreControlClient({});
const data = new BedrockAgentCoreClient({});
const agentRuntimeArtifact = {
  codeConfiguration: { code: { s3: { bucket, prefix } }, runtime: "PYTHON_3_13", entryPoint: ["main.py"] },
};

async function settled(get) {
  for (let tries = 0; tries < 500; tries++) {
    const found = await get();
    if (!["CREATING", "UPDATING", "DELETING"].includes(found.status)) return found;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error("it does not settle");
}

const created = await control.send(
  new CreateAgentRuntimeCommand({ agentRuntimeName, agentRuntimeArtifact, roleArn, tags: { team: "boats" } }),
);
const { agentRuntimeId, agentRuntimeArn } = created;
assert.equal(created.status, "CREATING");
assert(created.createdAt instanceof Date);
const runtime = () => control.send(new GetAgentRuntimeCommand({ agentRuntimeId }));
assert.equal((await settled(runtime)).status, "READY");

await control.send(
  new UpdateAgentRuntimeCommand({ agentRuntimeId, agentRuntimeArtifact, roleArn, description: "second" }),
);
assert.equal((await settled(runtime)).description, "second");
const versions = [];
for await (const page of paginateListAgentRuntimeVersions({ client: control, pageSize: 1 }, { agentRuntimeId })) {
  versions.push(...page.agentRuntimes.map((item) => item.agentRuntimeVersion));
}
assert.deepEqual(versions, ["2", "1"]);

const endpointName = "prod";
await control.send(
  new CreateAgentRuntimeEndpointCommand({ agentRuntimeId, name: endpointName, agentRuntimeVersion: "1" }),
);
const endpoint = () => control.send(new GetAgentRuntimeEndpointCommand({ agentRuntimeId, endpointName }));
assert.equal((await settled(endpoint)).liveVersion, "1");

await control.send(new TagResourceCommand({ resourceArn: agentRuntimeArn, tags: { more: "yes" } }));
await control.send(new UntagResourceCommand({ resourceArn: agentRuntimeArn, tagKeys: ["team"] }));
const { tags } = await control.send(new ListTagsForResourceCommand({ resourceArn: agentRuntimeArn }));
assert.deepEqual(tags, { more: "yes" });
const statement = { Effect: "Allow", Principal: "*", Action: "bedrock-agentcore:*", Resource: agentRuntimeArn };
const policy = JSON.stringify({ Statement: [statement] });
await control.send(new PutResourcePolicyCommand({ resourceArn: agentRuntimeArn, policy }));
assert.equal((await control.send(new GetResourcePolicyCommand({ resourceArn: agentRuntimeArn }))).policy, policy);
await control.send(new DeleteResourcePolicyCommand({ resourceArn: agentRuntimeArn }));

const payload = JSON.stringify({ prompt: "hello" });
const answer = await data.send(new InvokeAgentRuntimeCommand({ agentRuntimeArn, qualifier: endpointName, payload }));
assert.equal(answer.statusCode, 200);
assert.equal(await answer.response.transformToString(), payload);
const { runtimeSessionId } = answer;
const stopped = await data.send(
  new StopRuntimeSessionCommand({ agentRuntimeArn, qualifier: endpointName, runtimeSessionId }),
);
assert.equal(stopped.runtimeSessionId, runtimeSessionId);
const failing = JSON.stringify({ do: "answer", status: 500 });
await assert.rejects(
  data.send(new InvokeAgentRuntimeCommand({ agentRuntimeArn, payload: failing })),
  (error) => error.name === "RuntimeClientError" && error.$metadata.httpStatusCode === 424,
);

await control.send(new DeleteAgentRuntimeEndpointCommand({ agentRuntimeId, endpointName }));
const gone = async (get) => assert.rejects(settled(get), { name: "ResourceNotFoundException" });
const wait = async (get) => {
  for (let tries = 0; tries < 500; tries++) {
    try {
      await get();
    } catch {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};
await wait(endpoint);
await gone(endpoint);
await control.send(new DeleteAgentRuntimeCommand({ agentRuntimeId }));
await wait(runtime);
await gone(runtime);
console.log("done");
