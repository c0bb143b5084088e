/**
 * `aipassd call`: one completion from the command line.
 */

import type { CompletionResult } from '../../protocol/completion.ts';
import type { Output } from '../output.ts';
import { decimal, defineVerb, flag, integer, JSON_FLAG, optionalWord, textOption, UsageError } from '../verb.ts';

export const call = defineVerb({
  name: 'call',
  summary: 'ask a model to answer a prompt, or what is piped in',
  parameters: {
    prompt: optionalWord('the prompt; "-" or nothing reads it from stdin'),
    model: textOption('M', 'the model; there is no default (aipassd models lists them)', { short: 'm' }),
    stream: flag('print the answer as it comes'),
    system: textOption('S', 'a system message'),
    provider: textOption('P', 'the provider; the default one without it', { completion: 'providers' }),
    'max-tokens': integer('N', [1, 10_000_000], 'maximum number of tokens of the answer'),
    temperature: decimal('T', [0, 2], 'sampling temperature'),
    json: JSON_FLAG,
  },
  async run(values, { out, connect, readStdin, signal }) {
    const { model, stream: streamed, system, provider, 'max-tokens': maxTokens, temperature, json } = values;
    const prompt = await readPrompt(values.prompt, readStdin);
    if (model === undefined || model.trim() === '') {
      throw new UsageError(
        `--model is ${model === undefined ? 'missing' : 'empty'}: there is no default model`,
        'choose one that aipassd models lists, and add it: aipassd call … --model MODEL',
      );
    }
    const aipass = await connect();
    const params = {
      model,
      provider,
      messages: [
        ...(system === undefined ? [] : [{ role: 'system', content: system }]),
        { role: 'user', content: prompt },
      ],
      max_tokens: maxTokens,
      temperature,
      signal,
    };
    if (streamed && !json) {
      const stream = aipass.stream(params);
      for await (const { content } of stream) out.text(content ?? '');
      const result = await stream.result;
      if (result.content && !result.content.endsWith('\n')) out.line('');
      return showOther(result, out);
    }
    const result = await aipass.complete(params);
    if (json) {
      out.json(result);
      return noteFallback(result, out);
    }
    if (result.content) out.text(result.content.endsWith('\n') ? result.content : `${result.content}\n`);
    showOther(result, out);
  },
});

/** Returns the prompt: the word, or what is piped in. @throws UsageError where there is none. */
async function readPrompt(word: string | undefined, readStdin: () => Promise<string>): Promise<string> {
  const isPiped = word === '-' || (word === undefined && !process.stdin.isTTY);
  const prompt = isPiped ? await readStdin() : word;
  if (prompt !== undefined && prompt.trim() !== '') return prompt;
  const problem = word === undefined ? 'call: <prompt> is missing' : 'the prompt is empty';
  throw new UsageError(problem, 'write a prompt, or "-" to read it from stdin');
}

/** Prints who answered, where that is not who was asked. */
function noteFallback({ fallback }: CompletionResult, out: Output): void {
  if (fallback) out.note(`answered by ${fallback.provider}, model ${fallback.model} (a fallback)`);
}

/** Prints what an answer holds besides text: tool calls, a refusal, nothing. */
function showOther(result: CompletionResult, out: Output): void {
  noteFallback(result, out);
  const { content, toolCalls, refusal, finishReason } = result;
  if (toolCalls.length > 0) out.json(toolCalls);
  if (refusal !== undefined) out.warn('the model refused', refusal);
  else if (!content && toolCalls.length === 0)
    out.warn(`the model gave no text (finish reason: ${finishReason ?? 'none'})`);
}
