import { Mistral } from '@mistralai/mistralai';

const { MISTRAL_API_KEY: apiKey = '', MISTRAL_BASE_URL: serverURL = '' } = process.env;
const client = new Mistral({ apiKey, serverURL });
const request = { model: 'mistral-small-latest', messages: [{ role: 'user', content: 'hi' }] };
console.log((await client.chat.complete(request)).choices[0].message.content);
let text = '';
for await (const { data } of await client.chat.stream(request)) text += data.choices[0]?.delta.content ?? '';
console.log(text);
