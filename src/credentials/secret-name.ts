/**
 * How an opaque secret is called: `<provider>/<slug>`, each one plain segment of a path.
 *
 * Names come from strangers and from folders; one that could leave the store, hide, or forge a line is no name.
 */

import { AipassError } from '../base/errors.ts';

/** Is the name of an opaque secret in its two parts. */
export interface SecretName {
  readonly provider: string;
  readonly slug: string;
}

/** Is the folder that holds OAuth accounts, which are lent as tokens and never served as they are. */
export const OAUTH_FOLDER = 'oauth';

/** Is what no file system takes more of. */
const MAX_SEGMENT_LENGTH = 255;

/** Matches one segment: no separator, no control or invisible character, and no dot in front. */
const SEGMENT = /^[^./\\\p{C}\p{Zl}\p{Zp}][^/\\\p{C}\p{Zl}\p{Zp}]*$/u;

/** Tells whether a text can be the provider or the slug of a secret. */
export function isSegment(text: string): boolean {
  return text.length <= MAX_SEGMENT_LENGTH && text !== '__pycache__' && SEGMENT.test(text);
}

/**
 * Parses the name of an opaque secret.
 *
 * @throws AipassError BAD_REQUEST where it is not two plain segments, NOT_FOUND where it lies in the reserved folder.
 */
export function parseSecretName(name: string): SecretName {
  const slash = name.indexOf('/');
  const provider = name.slice(0, Math.max(slash, 0));
  const slug = name.slice(slash + 1);
  if (slash === -1 || !isSegment(provider) || !isSegment(slug)) {
    throw new AipassError('BAD_REQUEST', 'this is no name of a secret', {
      hint: 'name it <provider>/<slug>, for example telegram/bot, without further slashes or leading dots',
    });
  }
  if (provider === OAUTH_FOLDER) {
    throw new AipassError('NOT_FOUND', 'OAuth accounts are not served as secrets', {
      hint: 'ask for a token instead: aipassd token <name>',
    });
  }
  return { provider, slug };
}
