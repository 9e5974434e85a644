// A TypeScript client of the internal API, typed by the service's OpenAPI description.
//
// With the service running with API_DOCS=true, BILLING_URL its address and BILLING_API_KEY a key of INTERNAL_API_KEY:
//   npm ci && npm run generate && npm run build && npm start

import { randomUUID } from "node:crypto";
import createClient from "openapi-fetch";
import type { components, paths } from "./billing.js";

type Decision = components["schemas"]["DecisionOut"];

const user_id = process.env.BILLING_USER ?? "ada";
const billing = createClient<paths>({
  baseUrl: process.env.BILLING_URL ?? "http://127.0.0.1:8000",
  headers: { "X-API-Key": process.env.BILLING_API_KEY ?? "" },
});

// Sent again under the same key after an answer that was lost, it uses the amount once.
async function consume(feature: string, amount: number, key: string): Promise<Decision> {
  const { data, error } = await billing.POST("/internal/users/{user_id}/usage/{feature}", {
    params: { path: { user_id, feature }, header: { "Idempotency-Key": key } },
    body: { op: "consume", amount },
  });
  if (error) throw new Error("reason" in error ? `denied: ${error.reason}` : error.detail);
  return data;
}

// What is consumed may be less than what was reserved; if the work fails, everything is released.
async function withReservation(amount: number, work: () => Promise<number>): Promise<Decision> {
  const path = { user_id, feature: "storage_bytes" };
  const reserved = await billing.POST("/internal/users/{user_id}/usage/{feature}/reservations", {
    params: { path, header: { "Idempotency-Key": randomUUID() } },
    body: { amount, ttl: 300 },
  });
  if (reserved.error) throw new Error(reserved.error.detail);
  const one = { params: { path: { ...path, reservation_id: reserved.data.id } } };
  const reservation = "/internal/users/{user_id}/usage/{feature}/reservations/{reservation_id}";
  try {
    const body = { amount: await work() };
    const { data, error } = await billing.POST(`${reservation}/commit`, { ...one, body });
    if (error) throw new Error(error.detail);
    return data;
  } catch (failure) {
    await billing.DELETE(reservation, one);
    throw failure;
  }
}

const key = randomUUID();
for (const _ of [1, 2]) {
  const decision = await consume("projects", 2, key);
  console.log(`projects used: ${decision.used} of ${decision.limit}`);
}
await consume("projects", 2, randomUUID()).catch((error: Error) => console.log(error.message));

const { data: checked } = await billing.POST("/internal/users/{user_id}/usage", {
  params: { path: { user_id } },
  body: { op: "check", amounts: { projects: 1, api_calls: 1 } },
});
console.log(`both allowed: ${checked?.allowed}`);

const committed = await withReservation(1_000_000, async () => 1234);
console.log(`bytes used: ${committed.used}`);
await withReservation(1_000_000, async () => {
  throw new Error("the upload was aborted");
}).catch((error: Error) => console.log(error.message));
const { data: entitlements } = await billing.GET("/internal/users/{user_id}/entitlements", {
  params: { path: { user_id } },
});
console.log(`bytes used: ${entitlements?.features["storage_bytes"]?.used}`);
