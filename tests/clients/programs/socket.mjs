// SDKs over the Unix socket: no token, and any text as the key. `fetch` and its agent are both of undici.
import Anthropic from '@anthropic-ai/sdk';
import { createOpenAI } from '@ai-sdk/openai';
import { generateText, streamText } from 'ai';
import OpenAI from 'openai';
import { Agent, fetch as undiciFetch } from 'undici';

const dispatcher = new Agent({ connect: { socketPath: process.env.GATEWAY_SOCKET } });
const fetch = (input, init) => undiciFetch(input, { ...init, dispatcher });
const messages = [{ role: 'user', content: 'hi' }];

const openai = new OpenAI({ baseURL: 'http://aipassd/openai/v1', apiKey: 'unused', fetch });
let text = '';
for await (const chunk of await openai.chat.completions.create({ model: 'gpt-5-mini', messages, stream: true })) {
  text += chunk.choices[0].delta.content ?? '';
}
console.log(text);

const anthropic = new Anthropic({ baseURL: 'http://aipassd/anthropic', apiKey: 'unused', fetch });
console.log(
  (await anthropic.messages.create({ model: 'claude-sonnet-4-5', max_tokens: 10, messages })).content[0].text,
);

const ai = createOpenAI({ baseURL: 'http://aipassd/openai/v1', apiKey: 'unused', fetch });
console.log((await generateText({ model: ai('gpt-5-mini'), prompt: 'hi' })).text);
console.log(await streamText({ model: ai.chat('gpt-5-mini'), prompt: 'hi' }).text);
