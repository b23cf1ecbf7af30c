// An OpenID provider whose clients get access tokens for an API. Says its port, and takes a line of standard input as
// the order to change its keys, which it says it has done.
import { generateKeyPair, exportJWK } from "jose";
import { createServer } from "node:http";
import Provider from "oidc-provider";

const clients = ["app", "other"].map((client_id) => ({
  client_id,
  client_secret: "secret",
  grant_types: ["client_credentials"],
  redirect_uris: [],
  response_types: [],
}));

async function provider(issuer, key) {
  const { privateKey } = await generateKeyPair("RS256", { extractable: true });
  const jwk = { ...(await exportJWK(privateKey)), kid: key, alg: "RS256", use: "sig" };
  return new Provider(issuer, {
    clients,
    jwks: { keys: [jwk] },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, resource) => ({
          scope: "agents.run agents.read",
          audience: resource,
          accessTokenFormat: "jwt",
        }),
      },
    },
    extraTokenClaims: () => ({ team: "blue", groups: ["dev", "ops"] }),
  }).callback();
}

let answer;
const server = createServer((request, response) => answer(request, response));
server.listen(0, "127.0.0.1", async () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  answer = await provider(issuer, "first");
  console.log(`port ${server.address().port}`);
  process.stdin.once("data", async () => {
    answer = await provider(issuer, "second");
    console.log("changed to the second");
  });
  process.stdin.once("end", () => process.exit(0));
});
