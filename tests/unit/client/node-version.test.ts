import { expect, it } from 'vitest';
import { assertNodeVersion } from '../../../src/client/failures.ts';

it('an older Node than the client runs on is refused by name, with what to do', () => {
  for (const version of ['18.20.8', '20.15.1']) {
    expect(() => assertNodeVersion(version)).toThrow(
      expect.objectContaining({
        name: 'AipassError',
        code: 'BAD_REQUEST',
        message: expect.stringMatching(new RegExp(`20\\.16 .* ${version}`)),
      }),
    );
  }
  for (const version of ['20.16.0', '22.3.0', '24.21.0', undefined])
    expect(() => assertNodeVersion(version)).not.toThrow();
});
