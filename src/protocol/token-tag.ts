/**
 * Tags of tokens: by a tag a client reports which token an API refused, without sending it.
 */

import { createHash } from 'node:crypto';

/** Pattern of a tag. */
export const TOKEN_TAG = /^[0-9a-f]{32}$/;

/** Returns the tag of a token: the first half of its SHA-256, in lower-case hexadecimal digits. */
export function tokenTag(token: string): string {
  return createHash('sha256').update(token).digest('hex').slice(0, 32);
}
