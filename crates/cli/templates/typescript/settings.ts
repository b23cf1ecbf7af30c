// Which model answers. Variables win over what is written here; agentcore/.env.local is the place for yours.

import { startStub } from "./stub_model";

export const PROMPT = "You are a helpful assistant. Keep your answers short.";

export interface Model {
  id: string;
  url: string;
  key: string;
}

let stub: Promise<string> | undefined;

/** The model to ask. `stub` is a stand-in inside this process that needs neither a key nor a network. */
export async function model(): Promise<Model> {
  const id = process.env.MODEL_ID ?? "{{model_id}}";
  const key = process.env.{{key_variable}} ?? "none";
  let url = process.env.MODEL_URL ?? "{{model_url}}";
  if (url === "stub") {
    stub ??= startStub();
    url = `${await stub}/v1`;
  }
  return { id, url, key };
}
