/**
 * The error for a name that no provider has. It says so where the name is not the caller's but the configuration's.
 */

import { AipassError } from '../base/errors.ts';
import { nearest } from '../base/nearest.ts';
import { plainText } from '../base/plain-text.ts';

/** Returns the error; `known` are the names it may have been meant for, `defaultProvider` is the configuration's. */
export function unknownProvider(name: string, known: Iterable<string>, defaultProvider?: string): AipassError {
  const shown = plainText(name, 64);
  const near = nearest(shown, known);
  if (name === defaultProvider) {
    const meant = near === undefined ? '' : `did you mean "${near}"? `;
    return new AipassError(
      'NOT_FOUND',
      `unknown provider "${shown}", which is "defaultProvider" in the configuration`,
      {
        hint: `${meant}correct it there and restart the daemon, or name a provider; see: aipassd list-providers`,
      },
    );
  }
  return new AipassError('NOT_FOUND', `unknown provider "${shown}"`, {
    hint:
      near === undefined
        ? 'see: aipassd list-providers, or describe it under "providers" in the configuration'
        : `did you mean "${near}"?`,
  });
}
