/**
 * The error for an unknown provider; its message differs where the name comes from the
 * configuration.
 */

import { AipassError } from '../base/errors.ts';
import { nearestProvider } from '../base/nearest.ts';
import { plainText } from '../base/plain-text.ts';

/**
 * Returns the error; `known` are the names that may have been meant. `defaultProvider` is that of
 * the configuration. `give` is the instruction for giving this name a key, where that is possible.
 */
export function unknownProvider(
  name: string,
  known: Iterable<string>,
  defaultProvider?: string,
  give?: string,
): AipassError {
  const shown = plainText(name, 64);
  const near = nearestProvider(shown, known);
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
  const unheardOf =
    give === undefined
      ? 'see: aipassd list-providers, or describe it under "providers" in the configuration'
      : `any name may have a key: ${give}; for those that are built in see: aipassd list-providers`;
  const mistyped = `did you mean "${near}"?${give === undefined ? '' : ` Else ${give}`}`;
  return new AipassError('NOT_FOUND', `unknown provider "${shown}"`, {
    hint: near === undefined ? unheardOf : mistyped,
  });
}
