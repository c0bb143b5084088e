import Anthropic, { toFile } from '@anthropic-ai/sdk';

const client = new Anthropic();
const request = { model: 'claude-sonnet-4-5', max_tokens: 10, messages: [{ role: 'user', content: 'hi' }] };
console.log((await client.messages.create(request)).content[0].text);
console.log((await client.messages.stream(request).finalMessage()).content[0].text);
console.log((await client.messages.countTokens({ model: request.model, messages: request.messages })).input_tokens);
console.log((await client.models.list()).data[0].id);
const tools = [{ name: 'say', input_schema: { type: 'object' } }];
const spoken = await client.messages
  .stream({ ...request, tools, tool_choice: { type: 'tool', name: 'say' } })
  .finalMessage();
console.log(spoken.content[0].input.text);

const bytes = Buffer.from(Array.from({ length: 70_000 }, (_, at) => (at * 7919) % 256));
const uploaded = await client.beta.files.upload({ file: await toFile(bytes, 'a.txt', { type: 'text/plain' }) });
console.log(uploaded.size_bytes, (await client.beta.files.delete(uploaded.id)).id);
const batch = await client.messages.batches.create({ requests: [{ custom_id: 'one', params: request }] });
// Its own results() asks the address in the answer, which is not the gateway's.
const results = await client.get(`/v1/messages/batches/${batch.id}/results`, { __binaryResponse: true });
console.log(JSON.parse(await results.text()).result.message.content[0].text);
