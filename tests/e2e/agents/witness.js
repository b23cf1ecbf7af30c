// An agent for Node.js without any package.
const http = require("node:http");

http
  .createServer((request, response) => {
    response.setHeader("content-type", "application/json");
    if (request.url === "/ping") return response.end('{"status": "Healthy"}');
    request.resume().on("end", () =>
      response.end(JSON.stringify({ node: process.version, folder: process.cwd(), user: process.getuid() })),
    );
  })
  .listen(8080, "0.0.0.0");
