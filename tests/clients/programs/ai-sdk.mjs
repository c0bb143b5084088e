import { anthropic } from '@ai-sdk/anthropic';
import { openai } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, streamText } from 'ai';

console.log((await generateText({ model: openai('gpt-5-mini'), prompt: 'hi' })).text);
console.log(await streamText({ model: openai.chat('gpt-5-mini'), prompt: 'hi' }).text);
console.log((await generateText({ model: anthropic('claude-sonnet-4-5'), prompt: 'hi' })).text);

const { OPENAI_BASE_URL: baseURL = '', OPENAI_API_KEY: apiKey = '' } = process.env;
const compatible = createOpenAICompatible({ name: 'aipassd', baseURL, apiKey });
console.log(await streamText({ model: compatible('gpt-5-mini'), prompt: 'hi' }).text);
