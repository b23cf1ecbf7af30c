// Loaded by every Node that `agentcore dev` starts, before the agent: moves the port the agent listens on to another
// one of the loopback device, as sitecustomize.py does for Python.
"use strict";
const net = require("node:net");

const [wanted, given] = process.env.AGENTCORE_DEV_MOVED_PORT.split(":").map(Number);
const listen = net.Server.prototype.listen;

net.Server.prototype.listen = function (...args) {
  const [first, ...rest] = args;
  if (first !== null && typeof first === "object" && Number(first.port) === wanted) {
    return listen.call(this, { ...first, port: given, host: "127.0.0.1" }, ...rest);
  }
  if ((typeof first === "number" || typeof first === "string") && Number(first) === wanted) {
    const callback = args.find((argument) => typeof argument === "function");
    return listen.call(this, { port: given, host: "127.0.0.1" }, callback);
  }
  return listen.apply(this, args);
};
