import { GoogleGenAI } from '@google/genai';

const client = new GoogleGenAI({ apiKey: process.env.GEMINI_API_KEY });
const request = { model: 'gemini-2.5-flash', contents: 'hi' };
console.log((await client.models.generateContent(request)).text);
let text = '';
for await (const chunk of await client.models.generateContentStream(request)) text += chunk.text ?? '';
console.log(text);
