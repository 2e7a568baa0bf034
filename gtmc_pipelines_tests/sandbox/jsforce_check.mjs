// A foreign client's opinion of the imitated Salesforce: jsforce against a running sandbox.
// By hand, in a folder where `npm install jsforce` was run:
//   gtmc sandbox --json > sandbox.json &   then   node jsforce_check.mjs sandbox.json
import { readFileSync } from "node:fs";
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const jsforce = createRequire(`${process.cwd()}/`)("jsforce");
const { vendors } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const { http, credentials } = vendors.salesforce;
const { access_token: accessToken, username } = credentials.orgs.acme;
const version = "60.0";
const control = (path, method, body) =>
  fetch(`${http}/_sandbox/${path}`, { method, body: body && JSON.stringify(body) });
await control("reset", "POST");

const conn = new jsforce.Connection({ instanceUrl: http, accessToken, version });
const found = [];
await new Promise((done, failed) =>
  conn.query("SELECT Id, Name, Email FROM Contact", { autoFetch: true, maxFetch: 1e6 })
    .on("record", (record) => found.push(record.Id)).on("end", done).on("error", failed).run({ autoFetch: true, maxFetch: 1e6 }));
assert.equal(found.length, 2000, "query, all pages");
assert.equal(new Set(found).size, 2000, "no record twice");
const small = await conn.query("SELECT Id FROM Contact", { headers: { "Sforce-Query-Options": "batchSize=500" } });
assert.equal(small.done, false);
const more = await conn.queryMore(small.nextRecordsUrl);
assert.ok(more.records.length > 0, "queryMore");
const all = await conn.query("SELECT Id, IsDeleted FROM Account", { scanAll: true });
assert.equal(all.totalSize, 408, "queryAll sees the recycle bin");
const described = await conn.describe("Contact");
assert.ok(described.fields.some((field) => field.name === "SystemModstamp"));
assert.ok((await conn.describeGlobal()).sobjects.length >= 6);
assert.equal((await conn.limits()).DailyApiRequests.Max, 1000000);
assert.ok(conn.limitInfo.apiUsage.used > 0, "Sforce-Limit-Info is understood");
const identity = await conn.request(`${http}/services/oauth2/userinfo`);
assert.equal(identity.username, username);

const bulk = await (await conn.bulk2.query("SELECT Id, Name FROM Contact", { pollInterval: 50, pollTimeout: 10000 })).toArray();
assert.equal(bulk.length, 2000, "Bulk API 2.0, one result page");

for (const rotation of [true, false]) {
  await control("knobs", "PUT", rotation ? [] : [{ fault: "no_rotation" }]);
  const redirectUri = "http://127.0.0.1:9/callback";
  const oauth2 = new jsforce.OAuth2({
    loginUrl: http, clientId: credentials.client_id, clientSecret: credentials.client_secret, redirectUri, useVerifier: true,
  });
  const url = oauth2.getAuthorizationUrl({ scope: "api refresh_token", state: "s1", login_hint: username });
  const answer = await fetch(url, { redirect: "manual" });
  const code = new URL(answer.headers.get("location")).searchParams.get("code");
  const first = await oauth2.requestToken(code);
  const second = await oauth2.refreshToken(first.refresh_token);
  assert.equal(Boolean(second.refresh_token), rotation, "rotation as told");
  const mine = new jsforce.Connection({ oauth2, instanceUrl: http, accessToken: "dead", refreshToken: second.refresh_token ?? first.refresh_token, version });
  assert.equal((await mine.query("SELECT Id FROM Account LIMIT 1")).totalSize, 1, "401, refresh, replay");
  if (rotation) await assert.rejects(oauth2.refreshToken(first.refresh_token), /expired access\/refresh token/);
}
await assert.rejects(conn.query("SELECT Nope FROM Contact"), { errorCode: "INVALID_FIELD" });
console.log("jsforce accepts the sandbox");
