/**
 * `aipassd track`: fetches the tokens and cost of a generation from its provider, and records them.
 */

import { JSON_FLAG, requiredWord, optionalWord } from '../options.ts';
import { formatCost } from '../usage-text.ts';
import { defineVerb } from '../verb.ts';

/** Tracks a generation. */
export const track = defineVerb({
  name: 'track',
  summary: "fetch a generation's tokens and cost from OpenRouter and record them, once",
  parameters: {
    'generation id': requiredWord('id that OpenRouter gave the completion, such as gen-1764…'),
    caller: optionalWord('its caller, where no completion of this daemon has the id ("manual" without it)', 'callers'),
    json: JSON_FLAG,
  },
  async run({ 'generation id': generationId, caller, json }, { out, connect, signal }) {
    const aipass = await connect();
    const { event, counted } = await aipass.usage.track(generationId, { caller, signal });
    if (json) {
      out.json({ event, counted });
      return 0;
    }
    const cost = event.costMicros === null ? 'cost unknown' : formatCost(event.costMicros);
    const [prompt, completion] = [event.promptTokens, event.completionTokens].map((tokens) => tokens ?? 'unknown');
    out.line(`Tracked: ${prompt} prompt + ${completion} completion tokens, ${cost}`);
    if (!counted) out.line('It was recorded already, and is counted once.');
    return 0;
  },
});
