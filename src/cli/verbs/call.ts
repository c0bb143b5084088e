/**
 * `aipassd call`: one completion from the command line.
 */

import type { CompletionResult } from '../../protocol/completion.ts';
import type { Output } from '../output.ts';
import { UsageError } from '../usage-error.ts';
import { JSON_OPTION, type Verb } from '../verb.ts';

const USAGE = '"prompt" --model M [--stream] [--system S] [--provider P] [--json]';

/** Has a model answer a prompt. */
export const call: Verb = {
  name: 'call',
  usage: USAGE,
  summary: 'have a model answer a prompt; "-" reads the prompt from stdin',
  details: [
    '--model M     the model; there is no default (aipassd models lists them)',
    '--stream      print the answer as it comes',
    '--system S    a system message',
    '--provider P  the provider; the default one without it',
    '--json        print the whole result as a document',
  ],
  options: {
    ...JSON_OPTION,
    model: { type: 'string', short: 'm' },
    stream: { type: 'boolean' },
    system: { type: 'string' },
    provider: { type: 'string' },
  },
  maxPositionals: 1,
  async run(args, { out, connect, readStdin, signal }) {
    const usage = `usage: aipassd call ${USAGE}`;
    const [word] = args.positionals;
    if (word === undefined) throw new UsageError('a prompt is needed, or "-" to read it from stdin', usage);
    const model = args.text('model');
    if (model === undefined)
      throw new UsageError('a model is needed: there is no default', `${usage}; see: aipassd models`);
    const prompt = word === '-' ? await readStdin() : word;
    if (prompt.trim() === '') throw new UsageError('the prompt is empty', usage);

    const system = args.text('system');
    const aipass = await connect();
    const params = {
      model,
      provider: args.text('provider'),
      messages: [
        ...(system === undefined ? [] : [{ role: 'system', content: system }]),
        { role: 'user', content: prompt },
      ],
      signal,
    };
    if (args.flag('stream') && !args.flag('json')) {
      const stream = aipass.stream(params);
      for await (const { content } of stream) out.text(content ?? '');
      const result = await stream.result;
      if (result.content && !result.content.endsWith('\n')) out.line('');
      showRest(result, out);
      return 0;
    }
    const result = await aipass.complete(params);
    if (args.flag('json')) {
      out.json(result);
      noteFallback(result, out);
      return 0;
    }
    if (result.content) out.text(result.content.endsWith('\n') ? result.content : `${result.content}\n`);
    showRest(result, out);
    return 0;
  },
};

/** Says who answered, where that is not who was asked. */
function noteFallback({ fallback }: CompletionResult, out: Output): void {
  if (fallback) out.note(`answered by ${fallback.provider}, model ${fallback.model} (a fallback)`);
}

/** Prints what an answer holds besides text: tool calls as a document, a refusal and the lack of all as a warning. */
function showRest(result: CompletionResult, out: Output): void {
  noteFallback(result, out);
  const { content, toolCalls, refusal, finishReason } = result;
  if (toolCalls.length > 0) out.json(toolCalls);
  if (refusal !== undefined) out.warn('the model refused', refusal);
  else if (!content && toolCalls.length === 0)
    out.warn(`the model gave no text (finish reason: ${finishReason ?? 'none'})`);
}
