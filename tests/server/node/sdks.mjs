// The official SDKs for Node in front of a gateway: `node sdks.mjs ADDRESS KEY`. What is not as it should be is thrown.
import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

const [address, key] = process.argv.slice(2);
const openai = new OpenAI({ baseURL: `${address}/v1`, apiKey: key, maxRetries: 0 });
const anthropic = new Anthropic({ baseURL: address, apiKey: key, maxRetries: 0 });
const messages = [{ role: "user", content: "Hi" }];
const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const asked = { model: "main", messages };

// Chat Completions
const whole = await openai.chat.completions.create(asked);
assert.equal(whole.choices[0].message.content, "Hello, world");
assert.equal(whole.usage.total_tokens, 15);
const streamed = openai.chat.completions.stream(asked);
assert.equal(await streamed.finalContent(), "Hello, world");
const tools = [{ type: "function", function: { name: "weather", parameters: schema } }];
const called = await openai.chat.completions.create({ ...asked, tools });
const [call] = called.choices[0].message.tool_calls;
assert.deepEqual([call.function.name, JSON.parse(call.function.arguments)], ["weather", { city: "Oslo" }]);
const told = [...messages, called.choices[0].message, { role: "tool", tool_call_id: call.id, content: "rain" }];
const after = await openai.chat.completions.create({ ...asked, messages: told, tools });
assert.equal(after.choices[0].message.content, "Hello, world");
const byStream = await openai.chat.completions.stream({ ...asked, tools }).finalChatCompletion();
assert.equal(byStream.choices[0].message.tool_calls[0].function.name, "weather");

// Responses
const responded = await openai.responses.create({ model: "main", input: "Hi" });
assert.equal(responded.output_text, "Hello, world");
const flown = await openai.responses.stream({ model: "main", input: "Hi" }).finalResponse();
assert.equal(flown.output_text, "Hello, world");
const flat = [{ type: "function", name: "weather", parameters: schema, strict: false }];
const item = (await openai.responses.create({ model: "main", input: "Hi", tools: flat })).output.find((each) => each.type === "function_call");
assert.deepEqual(JSON.parse(item.arguments), { city: "Oslo" });

// Messages
const said = { model: "main", max_tokens: 50, messages };
const answered = await anthropic.messages.create(said);
assert.equal(answered.content[0].text, "Hello, world");
assert.match(answered._request_id, /^req_/);
assert.equal(await anthropic.messages.stream(said).finalText(), "Hello, world");
const used = await anthropic.messages.stream({ ...said, tools: [{ name: "weather", input_schema: schema }] }).finalMessage();
assert.deepEqual([used.stop_reason, used.content.at(-1).input], ["tool_use", { city: "Oslo" }]);

// vectors, and what there is
const vectors = await openai.embeddings.create({ model: "second:vectors", input: ["a", "b"] });
assert.deepEqual(vectors.data.map((each) => each.embedding), [[0.5, -1], [0.5, -1]]);
const names = [];
for await (const model of openai.models.list()) names.push(model.id);
for await (const model of anthropic.models.list()) names.push(model.id);
assert.deepEqual(names, ["main", "default", "main", "default"]);
assert.equal((await openai.models.retrieve("second:any/name")).id, "second:any/name");
assert.equal((await anthropic.models.retrieve("main")).display_name, "main");
await assert.rejects(openai.models.retrieve("first:x,second:y"), OpenAI.NotFoundError);

// errors become the classes of each SDK
const soon = { headers: { "x-request-timeout": "0.5" } };
await assert.rejects(openai.chat.completions.create({ ...asked, model: "third:limited" }, soon), (error) => {
  assert.ok(error instanceof OpenAI.RateLimitError, String(error));
  assert.ok(Number(error.headers.get("retry-after")) > 5);
  assert.match(error.requestID, /^req_/);
  return true;
});
await assert.rejects(openai.responses.create({ model: "third:limited", input: "Hi" }, soon), OpenAI.RateLimitError);
await assert.rejects(anthropic.messages.create({ ...said, model: "third:limited" }, soon), Anthropic.RateLimitError);
await assert.rejects(openai.chat.completions.create({ ...asked, messages: [] }), OpenAI.BadRequestError);
await assert.rejects(new OpenAI({ baseURL: `${address}/v1`, apiKey: "no" }).models.list(), OpenAI.AuthenticationError);
await assert.rejects(new Anthropic({ baseURL: address, apiKey: "no" }).messages.create(said), Anthropic.AuthenticationError);
