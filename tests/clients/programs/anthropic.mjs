import Anthropic from '@anthropic-ai/sdk';

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
