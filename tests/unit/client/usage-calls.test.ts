import { describe, expect, it } from 'vitest';
import { toQuery } from '../../../src/client/usage-calls.ts';

describe('the range of a question about usage', () => {
  it('is given as epoch milliseconds, as dates, or as people write it', () => {
    expect(toQuery({ since: 5, until: new Date(7), by: 'model' })).toEqual({ since: 5, until: 7, by: 'model' });
    expect(toQuery({ since: '2026-11-21T10:00Z' })).toEqual({ since: Date.parse('2026-11-21T10:00:00Z') });
    const { since = 0 } = toQuery({ since: '7d' });
    expect(Date.now() - since - 7 * 86_400_000).toBeLessThan(60_000);
    expect(toQuery({})).toEqual({});
  });

  it('is rejected by name where it is not a moment', () => {
    const rejection = expect.objectContaining({ code: 'BAD_REQUEST', message: expect.stringContaining('until') });
    expect(() => toQuery({ until: 'tomorrow' })).toThrow(rejection);
    expect(() => toQuery({ until: new Date(Number.NaN) })).toThrow(rejection);
  });
});
