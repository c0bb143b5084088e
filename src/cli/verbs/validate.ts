/**
 * `aipassd validate`: judges a provider's keys, by their shape or by the provider's word.
 */

import { JSON_OPTION, type Verb } from '../verb.ts';

/** Judges keys; ends with 2 when one is invalid, or when the provider was asked and gave no verdict. */
export const validate: Verb = {
  name: 'validate',
  usage: '[provider] [--online] [--json]',
  summary: "judge a provider's keys by their shape; with --online, ask the provider",
  details: ['--online  ask the provider (free of charge)', '--json    print a document'],
  options: { ...JSON_OPTION, online: { type: 'boolean' } },
  maxPositionals: 1,
  async run(args, { out, connect, signal }) {
    const aipass = await connect();
    const keys = await aipass.validate(args.positionals[0], { online: args.flag('online'), signal });
    if (args.flag('json')) out.json(keys);
    else {
      const colours = { valid: 'green', suspect: 'yellow', invalid: 'red', unknown: 'yellow' } as const;
      for (const key of keys) {
        out.line(
          `${key.provider}  ${key.keyId}  ${key.masked}  ${out.style(colours[key.verdict], key.verdict)}: ${key.detail}`,
        );
      }
    }
    return keys.some((key) => key.verdict === 'invalid' || (key.verdict === 'unknown' && key.checked === 'online'))
      ? 2
      : 0;
  },
};
