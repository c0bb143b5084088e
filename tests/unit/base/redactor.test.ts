import { describe, expect, it } from 'vitest';
import { Redactor } from '../../../src/base/redactor.ts';

function knowing(...values: string[]): Redactor {
  const redactor = new Redactor();
  redactor.learn(values);
  return redactor;
}

describe('Redactor', () => {
  it('masks a known value wherever it stands', () => {
    expect(knowing('plain-words-42').redact('a=plain-words-42, b="plain-words-42"')).toBe('a=[secret], b="[secret]"');
  });

  it('masks the longer of two values of which one begins the other', () => {
    expect(knowing('secret-1', 'secret-1-extended').redact('x secret-1-extended y')).toBe('x [secret] y');
  });

  it('masks a value as JSON spells it', () => {
    const value = 'pa"ss\\wo\nrd';
    const line = JSON.stringify({ text: `it is ${value}.` });
    expect(knowing(value).redact(line)).toBe('{"text":"it is [secret]."}');
  });

  it('masks a piece of a known value that is long enough to be told apart', () => {
    const redacted = knowing('abcdEFGH1234ijklMNOP5678').redact('the key that ends with 1234ijklMNOP5678 is wrong');
    expect(redacted).toBe('the key that ends with [secret] is wrong');
  });

  it.each([
    ['base64', (text: string) => Buffer.from(text).toString('base64')],
    ['base64url', (text: string) => Buffer.from(text).toString('base64url')],
    ['hex', (text: string) => Buffer.from(text).toString('hex')],
    ['upper-case hex', (text: string) => Buffer.from(text).toString('hex').toUpperCase()],
    ['the encoding of URLs', (text: string) => encodeURIComponent(text)],
    ['the encoding of URLs, twice', (text: string) => encodeURIComponent(encodeURIComponent(text))],
    ['references of HTML', (text: string) => text.replaceAll(/./g, (c) => `&#${c.charCodeAt(0)};`)],
    ['references of XML', (text: string) => text.replaceAll(/./g, (c) => `&#x${c.charCodeAt(0).toString(16)};`)],
    ['UTF-16', (text: string) => Buffer.from(text, 'utf16le').toString('latin1')],
    ['escapes of C', (text: string) => text.replaceAll(/./g, (c) => `\\x${c.charCodeAt(0).toString(16)}`)],
    [
      'escapes in a text within a text',
      (text: string) => text.replaceAll(/./g, (c) => `\\\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`),
    ],
    ["the escapes of PHP's JSON", (text: string) => JSON.stringify(text).slice(1, -1).replaceAll('/', '\\/')],
    [
      'the escapes of JSON, every character',
      (text: string) => text.replaceAll(/./g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`),
    ],
    [
      'the encoding of URLs, every byte',
      (text: string) => text.replaceAll(/./g, (c) => `%${c.charCodeAt(0).toString(16)}`),
    ],
  ])('masks a value, and a piece of it, in %s', (_name, encode) => {
    const secret = 'Q+x/9f3k==Zz-canary-0123456789';
    const redactor = knowing(secret);
    for (const before of ['', 'Bearer ', 'user:', 'x: ']) {
      for (const quoted of [secret, secret.slice(0, 22), secret.slice(4)]) {
        const redacted = redactor.redact(`got "${encode(`${before}${quoted}`)}", sorry`);
        expect(redacted).toMatch(/^got ".*\[secret\].*", sorry$/);
      }
    }
    for (const before of ['a', 'ab', 'abc']) expect(redactor.redact(encode(`${before}${secret}`))).toBe('[secret]');
  });

  it('leaves a JSON text one: the letter of an escape before a secret stays', () => {
    const secret = 'Q+x/9f3kZz-canary-0123456789';
    for (const quoted of [secret, secret.slice(0, 22), Buffer.from(secret).toString('base64')]) {
      const text = JSON.stringify({ message: `no\n${quoted} "${quoted}"` }).replaceAll('/', '\\/');
      const redacted: unknown = JSON.parse(knowing(secret).redact(text));
      expect(redacted).toEqual({ message: expect.stringMatching(/^(?:no\n)?(?:\[secret\])+ "(?:\[secret\])+"$/) });
    }
  });

  it('asks once for what the caller sent, where something was found, and masks nothing of it however often it stands there', () => {
    const secret = 'abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ';
    const redactor = knowing(secret);
    let asked = 0;
    const sent = (): string => {
      asked += 1;
      return secret;
    };
    expect(redactor.redact('nothing to find', sent)).toBe('nothing to find');
    expect(asked).toBe(0);
    const parts = Array.from({ length: 40 }, (_, at) => [secret.slice(at, at + 12), secret.slice(at, at + 14)]).flat();
    const text = [...parts, ...parts, Buffer.from('u:nothing-of-it').toString('base64')].join(' ');
    expect(redactor.redact(text, sent)).toBe(text);
    expect(asked).toBe(1);
    // What was not sent is masked, also behind all of that.
    const half = (): string => secret.slice(0, 40);
    const redacted = redactor.redact(parts.join(' '), half).split(' ');
    expect(redacted).toEqual(parts.map((part) => (half().includes(part) ? part : '[secret]')));
  });

  const SPELLINGS: readonly ((text: string) => string)[] = [
    (text) => text,
    (text) => text.replaceAll('/', '\\/'),
    (text) => text.replaceAll(/./g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`),
    (text) => text.replaceAll(/./g, (c) => `%${c.charCodeAt(0).toString(16)}`),
    (text) => text.replaceAll(/./g, (c) => `&#x${c.charCodeAt(0).toString(16)};`),
  ];

  it('tells nobody whether a guess is right, however it was sent and however it is quoted', () => {
    const secret = 'Zq7xW9v/B3nM5kL1pR8tY';
    const others = [...SPELLINGS, (text: string) => Buffer.from(text).toString('base64')];
    for (const guess of [secret, secret.slice(0, 15)]) {
      for (const send of SPELLINGS) {
        for (const quote of others) {
          const text = `no model ${quote(guess)} here`;
          expect(knowing(secret).redact(text, () => `{"model":"${send(guess)}"}`)).toBe(text);
        }
      }
    }
  });

  it.each(['C:\\keys\\', 'DOMAIN\\', 'x\\\\', '\\\\host\\share\\'])(
    'masks behind a backslash that escapes nothing: %s',
    (before) => {
      const secret = 'AbCd3fGh1jKlMn0pQrSt';
      for (const quoted of [secret.slice(0, 12), secret, Buffer.from(secret).toString('base64')]) {
        expect(knowing(secret).redact(before + quoted)).toBe(`${before}[secret]`);
      }
    },
  );

  it('takes texts of many megabytes', () => {
    for (const text of ['\\u0041'.repeat(1_000_000), 'A'.repeat(10_000_000)]) {
      expect(knowing('AbCd3fGh1jKlMn0pQrSt').redact(text)).toBe(text);
    }
  });

  it('masks an encoded value that stands within a longer run of the same characters', () => {
    const secret = 'canary9f3kZzQ0123456789';
    const redactor = knowing(secret);
    for (const before of ['x', 'xx', 'xxx', 'xxxx']) {
      const encoded = `${before}${Buffer.from(secret).toString('base64')}`;
      expect(redactor.redact(encoded)).toBe('[secret]');
    }
  });

  it('leaves short pieces and words alone', () => {
    expect(knowing('abcdEFGH1234ijkl').redact('abcd and ijkl')).toBe('abcd and ijkl');
  });

  it('does not learn values that occur in every text', () => {
    expect(knowing('true', '', 'abc12').redact('this is true, abc12')).toBe('this is true, abc12');
  });

  it('does not take the words of a long document for secrets', () => {
    const document = `${'x '.repeat(3000)}configuration-directory`;
    expect(knowing(document).redact('see configuration-directory')).toBe('see configuration-directory');
    expect(knowing(document).redact(`<${document}>`)).toBe('<[secret]>');
  });

  it('forgets values that are no longer held', () => {
    const redactor = knowing('first-value');
    redactor.learn(['second-value']);
    expect(redactor.redact('first-value second-value')).toBe('first-value [secret]');
  });

  it('masks a text that passed before its value was learnt', () => {
    const redactor = knowing('first-value');
    expect(redactor.redact('my-own-name')).toBe('my-own-name');
    redactor.learn(['my-own-name']);
    expect(redactor.redact('my-own-name')).toBe('[secret]');
  });

  it('takes a value for text, not for a pattern', () => {
    expect(knowing('a.c$&d(e').redact('a.c$&d(e abcXXd')).toBe('[secret] abcXXd');
  });

  it.each([
    'sk-or-v1-0123456789abcdef',
    'sk-ant-api03-abcdefgh',
    'AIzaSyA0123456789abcdefghij',
    'gsk_0123456789abcdefGH',
    'xai-0123456789abcdefGH',
    'pplx-0123456789abcdefGH',
    'csk-0123456789abcdefGH',
    'fw_0123456789abcd',
    'tgp_v1_0123456789abcd',
    'ya29.a0AfH6SMBx-y_z.1',
    '1//0abcdefghijklmnopqrstuvwx',
    'ghp_0123456789abcdefghijABCD',
    'Bearer abcdefgh12345678',
  ])('masks what has the shape of a credential, known or not: %s', (key) => {
    expect(new Redactor().redact(`it is ${key}, and more`)).toBe('it is [secret], and more');
  });

  it('leaves ordinary text as it is', () => {
    const text = 'task-list of /home/ann/.secrets/aipass/.env: 3 keys, HTTP 401, model openai/gpt-5-mini';
    expect(knowing('something-else').redact(text)).toBe(text);
  });
});
