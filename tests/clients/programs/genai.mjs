import { GoogleGenAI } from '@google/genai';

const client = new GoogleGenAI({ apiKey: process.env.GEMINI_API_KEY });
const request = { model: 'gemini-2.5-flash', contents: 'hi' };
console.log((await client.models.generateContent(request)).text);
let text = '';
for await (const chunk of await client.models.generateContentStream(request)) text += chunk.text ?? '';
console.log(text);
const bytes = Uint8Array.from({ length: 70_000 }, (_, at) => (at * 7919) % 256);
const uploaded = await client.files.upload({ file: new Blob([bytes]), config: { mimeType: 'text/plain' } });
console.log(uploaded.name === 'files/1' ? 'Hello from mock' : 'another file');
console.log((await client.models.embedContent({ model: 'gemini-embedding-001', contents: 'hi' })).embeddings.length);
const batch = await client.batches.create({ model: 'gemini-2.5-flash', src: [{ contents: 'hi' }] });
console.log(batch.name);
