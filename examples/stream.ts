/** Streams a chat completion. Usage: node examples/stream.ts "prompt" <model> */

import { connect } from 'aipassd';

const [prompt = 'Why is the sky blue?', model = 'openai/gpt-5-mini'] = process.argv.slice(2);
await using aipass = await connect({ caller: 'example-stream' });
const stream = aipass.stream({ model, messages: [{ role: 'user', content: prompt }] });
for await (const { content } of stream) process.stdout.write(content ?? '');
const { finishReason } = await stream.result;
console.log(`\nended with "${finishReason ?? 'unknown'}"`);
