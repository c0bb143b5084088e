import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Redactor } from '../../../src/base/redactor.ts';
import { parseJson } from '../../../src/base/json.ts';
import { Secret } from '../../../src/base/secret.ts';
import { accountBasis, formatWithTokens, parseAccountFile } from '../../../src/refreshers/account-file.ts';
import { checkAccountFile } from '../../../src/refreshers/account-schema.ts';
import { refreshDue } from '../../../src/refreshers/held-token.ts';
import { isRecord, type JsonObject } from '../../../src/base/json.ts';
import { Exchange } from '../../../src/refreshers/worker/exchange.ts';
import { refreshGrant } from '../../../src/refreshers/worker/oauth.ts';
import { judgeFailure } from '../../../src/refreshers/worker/token-answer.ts';
import { numRuns } from '../../support/num-runs.ts';

const TOKEN = /^[\x20-\x7e]+$/;

describe('any answer of a token endpoint', () => {
  it('is judged without a throw, and gives a token or a reason', async () => {
    const field = fc.oneof(fc.jsonValue(), fc.constant('Bearer'), fc.constant('3600'), fc.integer());
    const document = fc.dictionary(
      fc.constantFrom(
        'access_token',
        'refresh_token',
        'expires_in',
        'scope',
        'token_type',
        'error',
        'ok',
        'id_token',
        'x',
      ),
      field,
    );
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          document.map((value) => JSON.stringify(value)),
          fc.string(),
        ),
        fc.integer({ min: 200, max: 599 }).filter((status) => ![204, 205, 304].includes(status)),
        async (body, status) => {
          const exchange = new Exchange({
            fetch: () => Promise.resolve(new Response(body, { status })),
            clock: { now: () => 0 },
          });
          const answer = await refreshGrant(
            {
              kind: 'standard',
              account: { name: 'test', file: '/test.json', clientFile: null, settings: {} },
              file: null,
              clientId: 'app',
              clientSecret: null,
              privateKey: null,
              settings: { tokenEndpoint: 'https://example.org/token' },
              exchange,
              judging: { account: 'test', isConsentable: true, redactor: new Redactor() },
              clock: { now: () => 0 },
            },
            new Secret('refresh'),
          );
          expect(answer.kind === 'granted' ? answer.tokens.accessToken.reveal() : answer.reason).toMatch(TOKEN);
        },
      ),
      { numRuns: numRuns(100) },
    );
  });

  it('never has a refusal repeat a secret that was sent', () => {
    fc.assert(
      fc.property(
        fc.string({ minLength: 8, maxLength: 40, unit: fc.constantFrom('a', 'b', 'X', 'Y', '0', '9', '-', '_') }),
        (secret) => {
          const redactor = new Redactor();
          redactor.learn([secret]);
          const document = { error: 'invalid_grant', error_description: `bad token ${secret}!` };
          const failure = judgeFailure(
            {
              kind: 'answer',
              status: 400,
              address: 'https://example.org/token',
              document,
              retryAfterMs: undefined,
              at: 0,
            },
            { account: 'test', isConsentable: true, redactor },
          );
          expect(JSON.stringify(failure)).not.toContain(secret);
        },
      ),
    );
  });
});

describe('any account file', () => {
  it('is parsed, or refused with a reason that quotes nothing of it', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), fc.boolean(), (text, google) => {
        const document = parseJson(text);
        if (!isRecord(document)) return;
        const problem = checkAccountFile(withCanaries(document), google);
        expect(problem ?? '').not.toContain('canary');
        expect(() => parseAccountFile(document, google, 0)).not.toThrow();
      }),
    );
  });

  it('keeps every field that nobody knows through a rewrite, and changes its basis only with its refresh token', () => {
    const unknown = fc.dictionary(
      fc.string({ minLength: 1 }).map((name) => `x_${name}`),
      fc.jsonValue(),
    );
    fc.assert(
      fc.property(unknown, fc.boolean(), fc.boolean(), (fields, google, rotated) => {
        const before = parseAccountFile({ ...fields, client_id: 'app', refresh_token: 'r1' }, google);
        const tokens = {
          accessToken: new Secret('access'),
          expiresIn: 3600,
          ...(rotated ? { refreshToken: new Secret('r2') } : {}),
        };
        const after = parse(formatWithTokens(before, tokens, 1_700_000_000_000), google);

        expect(after.raw).toMatchObject(JSON.parse(JSON.stringify(fields)));
        expect(after.expiresAt).toBe(1_700_003_600_000);
        expect(accountBasis(after) === accountBasis(before)).toBe(!rotated);
      }),
    );
  });
});

it('a token is due within its life, whatever its length', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 10 ** 10 }),
      fc.double({ min: 0, max: 0.999_999, noNaN: true }),
      (life, random) => {
        const due = refreshDue(1000 + life, life, random);
        expect(due).toBeGreaterThanOrEqual(1000);
        expect(due).toBeLessThanOrEqual(1000 + life);
      },
    ),
  );
});

/** Replaces every text in a document, so that a quotation of one is found. */
function withCanaries(document: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(document).map(([name, value]) => [name, typeof value === 'string' ? 'canary' : value]),
  );
}

function parse(text: string, google: boolean) {
  const document = parseJson(text);
  return parseAccountFile(isRecord(document) ? document : {}, google);
}
