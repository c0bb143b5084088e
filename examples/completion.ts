/** Asks for a chat completion. Usage: node examples/completion.ts "prompt" <model> */

import { connect } from 'aipassd';

const [prompt = 'Why is the sky blue?', model = 'openai/gpt-5-mini'] = process.argv.slice(2);
await using aipass = await connect({ caller: 'example-completion' });
const { content, keyId, usage } = await aipass.complete({ model, messages: [{ role: 'user', content: prompt }] });
console.log(content);
console.log(`paid by ${keyId ?? 'no key'}, ${usage?.totalTokens ?? 'an unknown number of'} tokens`);
