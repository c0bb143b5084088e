import OpenAI from 'openai';

const client = new OpenAI();
const messages = [{ role: 'user', content: 'hi' }];
console.log((await client.chat.completions.create({ model: 'gpt-5-mini', messages })).choices[0].message.content);
let text = '';
for await (const chunk of await client.chat.completions.create({ model: 'gpt-5-mini', messages, stream: true })) {
  text += chunk.choices[0].delta.content ?? '';
}
console.log(text);
console.log((await client.responses.create({ model: 'gpt-5-mini', input: 'hi' })).output_text);
console.log(
  (await client.embeddings.create({ model: 'e', input: 'hi' })).data.length,
  (await client.models.list()).data[0].id,
);
const tools = [{ type: 'function', function: { name: 'say', parameters: { type: 'object' } } }];
const choice = { tools, tool_choice: { type: 'function', function: { name: 'say' } } };
let spoken = '';
for await (const chunk of await client.chat.completions.create({ model: 'm', messages, stream: true, ...choice })) {
  spoken += chunk.choices[0].delta.tool_calls?.[0].function?.arguments ?? '';
}
console.log(JSON.parse(spoken).text);
