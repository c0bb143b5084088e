import { describe, expect, test } from 'vitest';
import { Redactor } from '../../../src/base/redactor.ts';
import { Secret } from '../../../src/base/secret.ts';
import { readError, redactWith, safeReason } from '../../../src/providers/error-reason.ts';

const asIs = (text: string): string => text;

describe('a reason', () => {
  test.each([
    [
      'OpenAI',
      { error: { message: 'Bad model', type: 'invalid_request_error', code: 'model_not_found' } },
      'Bad model (model_not_found)',
    ],
    ['OpenRouter', { error: { message: 'No credits', code: 402, metadata: { raw: 'hidden' } } }, 'No credits'],
    [
      'Google',
      [{ error: { code: 400, message: 'API key not valid.', status: 'INVALID_ARGUMENT' } }],
      'API key not valid. (INVALID_ARGUMENT)',
    ],
    ['Mistral', { object: 'error', message: 'Unauthorized', type: 'invalid_key' }, 'Unauthorized (invalid_key)'],
    [
      'Mistral with pydantic',
      { message: { detail: [{ msg: 'Extra inputs are not permitted', input: 'hidden' }] } },
      'Extra inputs are not permitted',
    ],
    ['FastAPI', { detail: 'Not Found' }, 'Not Found'],
    ['FastAPI with a list', { detail: [{ msg: 'field required', input: 'hidden' }] }, 'field required'],
    ['Ollama', { error: 'model "x" not found' }, 'model "x" not found'],
    [
      'xAI',
      { code: 'Client specified an invalid argument', error: 'Incorrect API key' },
      'Incorrect API key (Client specified an invalid argument)',
    ],
  ])('is read in the shape of %s', (_name, document, reason) => {
    expect(safeReason(document, asIs)).toBe(reason);
  });

  test.each([
    undefined,
    null,
    7,
    'text',
    [],
    {},
    { error: {} },
    { error: { message: 7 } },
    { error: { metadata: { raw: 'x' } } },
  ])('is missing in %j', (document) => {
    expect(safeReason(document, asIs)).toBeUndefined();
  });

  test('is one line of at most 300 characters', () => {
    const reason = safeReason({ error: { message: `a\u001b[31m\r\n${'b'.repeat(10_000)}` } }, asIs) ?? '';
    expect(reason).toHaveLength(300);
    expect(reason).toMatch(/^a \[31m b+…$/);
  });

  test('holds neither the key in use, nor a piece of it, nor a value of the vault', () => {
    const redactor = new Redactor();
    redactor.learn(['vault-value-123456']);
    const key = 'custom-key-0123456789abcdef';
    const redact = redactWith(new Secret(key), redactor);
    const message = `key ${key}, its end 0123456789abcdef, other vault-value-123456, shape sk-abcdefghijkl`;
    const reason = safeReason({ error: { message } }, redact);
    expect(reason).toBe('key [secret], its end [secret], other [secret], shape [secret]');
  });

  test('holds no key that stands across the place where it is cut', () => {
    const key = 'k'.repeat(200);
    const reason = safeReason({ error: { message: 'x '.repeat(140) + key } }, redactWith(new Secret(key)));
    expect(reason).not.toContain('kkk');
  });
});

describe('reading an error for decisions', () => {
  test('finds the status that the document names, as number or text', () => {
    expect(readError({ error: { code: 429 } }).status).toBe(429);
    expect(readError({ error: { code: '503' } }).status).toBe(503);
    expect(readError({ error: { code: 'rate_limit' } }).status).toBeUndefined();
    expect(readError({ error: { code: 200 } }).status).toBeUndefined();
  });

  test('survives fields of any type', () => {
    expect(readError({ error: { code: { toString: 'x' }, message: [], type: null } })).toEqual({ codes: [] });
  });
});
