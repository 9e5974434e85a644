// A receiver in another language: it verifies what it gets with the official library, and prints what it finds.
import { createServer } from "node:http";
import { Webhook } from "standardwebhooks";

const webhook = new Webhook(process.env.SECRET);
const server = createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const body = Buffer.concat(chunks).toString();
    let found;
    try {
      found = { id: request.headers["webhook-id"], verified: webhook.verify(body, request.headers) };
      webhook.verify(body.replace("ada", "eve"), request.headers);
      found.forged = true;
    } catch (error) {
      found = { ...found, refused: error.constructor.name };
    }
    response.writeHead(204).end();
    console.log(JSON.stringify(found));
    server.close();
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
