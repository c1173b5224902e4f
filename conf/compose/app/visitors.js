// Visitors: 50 requests a second. Every ten seconds they say what they saw.
const http = require("node:http");

const site = process.env.SITE || "http://pointsman/";
const agent = new http.Agent({ keepAlive: true });
let seen = {};

function visit() {
  const request = http.get(site, { agent, timeout: 5000 }, (response) => {
    const what = response.statusCode;
    response.resume();
    seen[what] = (seen[what] || 0) + 1;
  });
  request.on("timeout", () => request.destroy(new Error("timeout")));
  request.on("error", () => (seen.failed = (seen.failed || 0) + 1));
}

setInterval(visit, 20);
setInterval(() => {
  console.log(JSON.stringify(seen));
  seen = {};
}, 10_000);
