import OpenAI, { toFile } from 'openai';

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

// Uploads in several parts, bytes as answers, and what has no tokens at all.
const bytes = Buffer.from(Array.from({ length: 70_000 }, (_, at) => (at * 7919) % 256));
const file = async (name) => await toFile(bytes, name);
console.log((await client.audio.transcriptions.create({ model: 'gpt-4o-transcribe', file: await file('a.wav') })).text);
const speech = await client.audio.speech.create({ model: 'gpt-4o-mini-tts', voice: 'alloy', input: 'hi' });
console.log(bytes.equals(Buffer.from(await speech.arrayBuffer())) ? 'Hello from mock' : 'other sound');
const drawing = await client.images.edit({ model: 'gpt-image-1', image: await file('a.png'), prompt: 'hi' });
console.log(drawing.data[0].b64_json.length, (await client.images.generate({ prompt: 'hi' })).data.length);
const uploaded = await client.files.create({ file: await file('a.jsonl'), purpose: 'batch' });
const content = await client.files.content(uploaded.id);
console.log(bytes.equals(Buffer.from(await content.arrayBuffer())) ? 'Hello from mock' : 'another file');
const job = { input_file_id: uploaded.id, endpoint: '/v1/chat/completions', completion_window: '24h' };
const batch = await client.batches.create(job);
console.log((await client.batches.retrieve(batch.id)).status, (await client.files.delete(uploaded.id)).deleted);
