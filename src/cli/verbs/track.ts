/**
 * `aipassd track <generation id> [caller]`: fetches what a generation took from the provider, and records it.
 */

import { UsageError } from '../usage-error.ts';
import { printCost } from '../usage-text.ts';
import { JSON_OPTION, type Verb } from '../verb.ts';

/** Tracks a generation. */
export const track: Verb = {
  name: 'track',
  usage: '<generation id> [caller] [--json]',
  summary: "fetch a generation's tokens and cost from OpenRouter and record them; a known one counts once",
  details: [
    'caller  whose it is, where no completion of this daemon says so ("manual" without it)',
    '--json  print the event',
  ],
  options: JSON_OPTION,
  maxPositionals: 2,
  async run(args, { out, connect, signal }) {
    const [generationId, caller] = args.positionals;
    if (generationId === undefined) {
      throw new UsageError('Generation ID required', 'usage: aipassd track <generation id> [caller]');
    }
    const aipass = await connect();
    const { event, counted } = await aipass.usage.track(generationId, { caller, signal });
    if (args.flag('json')) {
      out.json({ event, counted });
      return 0;
    }
    const cost = event.costMicros === null ? 'cost unknown' : printCost(event.costMicros);
    out.line(
      `Tracked: ${count(event.promptTokens)} prompt + ${count(event.completionTokens)} completion tokens, ${cost}`,
    );
    if (!counted) out.line('It was known already, and is counted once.');
    return 0;
  },
};

function count(tokens: number | null): string {
  return tokens === null ? 'unknown' : String(tokens);
}
