import Groq from 'groq-sdk';

const client = new Groq();
const request = { model: 'llama-3.3-70b-versatile', messages: [{ role: 'user', content: 'hi' }] };
console.log((await client.chat.completions.create(request)).choices[0].message.content);
let text = '';
for await (const chunk of await client.chat.completions.create({ ...request, stream: true })) {
  text += chunk.choices[0].delta.content ?? '';
}
console.log(text);
