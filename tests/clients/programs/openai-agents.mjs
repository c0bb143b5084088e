import { Agent, run, setTracingDisabled } from '@openai/agents';

setTracingDisabled(true);
const agent = new Agent({ name: 'a', instructions: 'be brief', model: 'gpt-5-mini' });
console.log((await run(agent, 'hi')).finalOutput);
const streamed = await run(agent, 'hi', { stream: true });
let text = '';
for await (const part of streamed.toTextStream()) text += part;
console.log(text);
