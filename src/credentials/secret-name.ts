/**
 * Names of opaque secrets: `<provider>/<slug>`, each one plain segment of a path.
 *
 * Names come from callers and from folders. One that could leave the store, hide, or forge a line
 * is invalid.
 */

import { AipassError } from '../base/errors.ts';

/** Name of an opaque secret in its two parts. */
export interface SecretName {
  readonly provider: string;
  readonly slug: string;
}

/** Folder of the OAuth accounts, which are served as tokens and never as files. */
export const OAUTH_FOLDER = 'oauth';

/** Folder of the organizations, each with keys of its own. */
export const ORGANIZATIONS_FOLDER = 'organizations';

/** Maximum length of a file name. */
const MAX_SEGMENT_LENGTH = 255;

/** One segment: no separator, no control or invisible character, and no dot in front. */
const SEGMENT = /^[^./\\\p{C}\p{Zl}\p{Zp}][^/\\\p{C}\p{Zl}\p{Zp}]*$/u;

/** Returns whether a text can be the provider or the slug of a secret. */
export function isSegment(text: string): boolean {
  return text.length <= MAX_SEGMENT_LENGTH && text !== '__pycache__' && SEGMENT.test(text);
}

/**
 * Parses the name of an opaque secret.
 *
 * @throws AipassError BAD_REQUEST if it is not two plain segments, NOT_FOUND if it lies in a
 * reserved folder.
 */
export function parseSecretName(name: string): SecretName {
  const slash = name.indexOf('/');
  const provider = name.slice(0, Math.max(slash, 0));
  const slug = name.slice(slash + 1);
  if (slash === -1 || !isSegment(provider) || !isSegment(slug)) {
    throw new AipassError('BAD_REQUEST', 'this is not the name of a secret', {
      hint: 'name it <provider>/<slug>, for example telegram/bot, without further slashes or leading dots',
    });
  }
  if (provider === OAUTH_FOLDER) {
    throw new AipassError('NOT_FOUND', 'OAuth accounts are not served as secrets', {
      hint: 'ask for a token instead: aipassd token <name>',
    });
  }
  // Some file systems do not distinguish upper case from lower case.
  if (provider.toLowerCase() === ORGANIZATIONS_FOLDER) {
    throw new AipassError('NOT_FOUND', 'the folder of the organizations holds no secrets', {
      hint: 'choose another name before the slash',
    });
  }
  return { provider, slug };
}
