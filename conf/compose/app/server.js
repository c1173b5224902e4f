// The app: says its version. A version that ends in "-bad" fails one request in five.
const http = require("node:http");

const version = process.env.VERSION || "v1";
const port = Number(process.env.PORT || 3000);
let count = 0;

const server = http.createServer((request, response) => {
  count += 1;
  const fails = version.endsWith("-bad") && request.url !== "/health" && count % 5 === 0;
  response.writeHead(fails ? 500 : 200, { "Content-Type": "text/plain" });
  response.end(fails ? "something broke\n" : `version ${version}\n`);
});

server.listen(port, () => console.log(`version ${version} listens on port ${port}`));

// What is under way is answered; Pointsman sends nothing new.
for (const signal of ["SIGTERM", "SIGINT"]) {
  process.on(signal, () => {
    server.close(() => process.exit(0));
    server.closeIdleConnections();
  });
}
