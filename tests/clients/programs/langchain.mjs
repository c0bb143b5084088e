import { ChatOpenAI } from '@langchain/openai';

console.log((await new ChatOpenAI({ model: 'gpt-5-mini' }).invoke('hi')).text);
let text = '';
for await (const chunk of await new ChatOpenAI({ model: 'gpt-5-mini' }).stream('hi')) text += chunk.text;
console.log(text);
console.log((await new ChatOpenAI({ model: 'gpt-5-mini', useResponsesApi: true }).invoke('hi')).text);
