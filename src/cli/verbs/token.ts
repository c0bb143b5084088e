/**
 * `aipassd token`: prints an OAuth account's access token, fresh.
 */

import { text } from 'node:stream/consumers';
import { integer, JSON_FLAG, textOption } from '../options.ts';
import { defineVerb } from '../verb.ts';
import { ACCOUNT, fullName, scopesOf } from './account-option.ts';

/** Prints a token. */
export const token = defineVerb({
  name: 'token',
  summary: "print an OAuth account's access token; refreshes it first if it is about to expire",
  parameters: {
    ...ACCOUNT,
    'min-valid': integer('S', [0, 999_999], 'minimum remaining validity in seconds (60 without it)'),
    scopes: textOption('S,…', 'scopes that the token must have'),
    refused: textOption(
      'TAG',
      'refresh it first if it is the token with this tag, which an API refused; - reads the token from stdin',
    ),
    json: JSON_FLAG,
  },
  async run({ name, account, 'min-valid': minValidSeconds, scopes, refused, json }, { out, connect, signal }) {
    const wanted = scopesOf(scopes);
    const aipass = await connect();
    const value = await aipass.token(fullName(name, account), {
      signal,
      ...(minValidSeconds === undefined ? {} : { minValidSeconds }),
      ...(wanted === undefined ? {} : { scopes: wanted }),
      ...(refused === undefined ? {} : { refused: refused === '-' ? (await text(process.stdin)).trim() : refused }),
    });
    if (json) out.json(value);
    else out.line(value.accessToken);
    return 0;
  },
});
