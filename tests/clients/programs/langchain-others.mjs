import { ChatAnthropic } from '@langchain/anthropic';
import { ChatGoogleGenerativeAI } from '@langchain/google-genai';

const { GOOGLE_GEMINI_BASE_URL: baseUrl = '', GEMINI_API_KEY: apiKey = '' } = process.env;
for (const model of [
  new ChatAnthropic({ model: 'claude-sonnet-4-5' }),
  // It reads neither variable.
  new ChatGoogleGenerativeAI({ model: 'gemini-2.5-flash', baseUrl, apiKey }),
]) {
  console.log((await model.invoke('hi')).text);
  let text = '';
  for await (const chunk of await model.stream('hi')) text += chunk.text;
  console.log(text);
}
