// Signs what an HTTP client sends, with credentials from the environment.

import { createHash, createHmac } from "node:crypto";

const sha256 = (text) => createHash("sha256").update(text).digest("hex");
const hmac = (key, text) => createHmac("sha256", key).update(text).digest();

/** Signs a request (Signature Version 4) and sends it. */
export function signedFetch(url, options = {}) {
  const { host, pathname } = new URL(url);
  const date = new Date().toISOString().replace(/[-:]|\.\d+/g, "");
  const scope = `${date.slice(0, 8)}/us-east-1/bedrock-agentcore/aws4_request`;
  const path = pathname.split("/").map(encodeURIComponent).join("/");
  const method = options.method ?? "GET";
  const head = `${method}\n${path}\n\nhost:${host}\nx-amz-date:${date}\n\nhost;x-amz-date\n`;
  const canonical = head + sha256(options.body ?? "");
  const toSign = `AWS4-HMAC-SHA256\n${date}\n${scope}\n${sha256(canonical)}`;
  const key = scope.split("/").reduce(hmac, `AWS4${process.env.AWS_SECRET_ACCESS_KEY}`);
  const headers = new Headers(options.headers);
  const credential = `${process.env.AWS_ACCESS_KEY_ID}/${scope}`;
  const signature = hmac(key, toSign).toString("hex");
  headers.set("x-amz-date", date);
  headers.set(
    "authorization",
    `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=host;x-amz-date, Signature=${signature}`,
  );
  return fetch(url, { ...options, headers });
}
