import { describe, expect, test } from 'vitest';
import { readRequest } from '../../../src/completions/forward-request.ts';

const CHAT = { dialect: 'openai', kind: 'chat', path: '/chat/completions' } as const;
const FORM = { dialect: 'openai', kind: 'audio', path: '/audio/transcriptions' } as const;

const read = (body: string) => readRequest({ ...CHAT, body: Buffer.from(body) });
const asking = (body: string) => read(body).askingBody?.toString();

describe('a streamed chat whose client did not ask for usage', () => {
  test.each([
    ['{"stream":true}', '{"stream_options":{"include_usage":true},"stream":true}'],
    ['{"stream":true,"stream_options":{}}', '{"stream":true,"stream_options":{"include_usage":true}}'],
    [
      '{"stream":true,"stream_options": { "n": 12345678901234567890, "f": 1.0, "e": 1e400 } }',
      '{"stream":true,"stream_options": { "n": 12345678901234567890, "f": 1.0, "e": 1e400 ,"include_usage":true} }',
    ],
    [
      '{"stream_options":{"a":{"include_usage":1},"include_usage" : null},"stream":true}',
      '{"stream_options":{"a":{"include_usage":1},"include_usage" :true},"stream":true}',
    ],
  ])('asks with all other bytes as they came: %s', (body, sent) => {
    expect(asking(body)).toBe(sent);
  });

  test.each(['1', '"true"', 'true'])('leaves the wish %s as its client put it', (wish) => {
    expect(asking(`{"stream":true,"stream_options":{"include_usage":${wish}}}`)).toBeUndefined();
  });

  test.each(['[]', '"yes"', '7'])('leaves options that are %s to the provider', (options) => {
    expect(asking(`{"stream":true,"stream_options":${options}}`)).toBeUndefined();
  });

  test('asks whatever depth its options have', () => {
    const deep = `{"x":${'['.repeat(50_000)}${']'.repeat(50_000)}}`;
    expect(asking(`{"stream":true,"stream_options":${deep}}`)).toContain('"include_usage":true');
  });
});

test.each([
  ['blanks', ' '.repeat(200)],
  ['a byte order mark', '\uFEFF'],
])('a request behind %s is read', (_what, before) => {
  expect(read(`${before}{"model":"m","stream":true}`)).toMatchObject({ model: 'm', isStreamed: true });
});

const part = (name: string, value: string): string =>
  `--B\r\ncontent-disposition: form-data; ${name}\r\n\r\n${value}\r\n`;
const modelsIn = (body: string, contentType = 'multipart/form-data; boundary=B') => {
  const { model, models = [] } = readRequest({ ...FORM, body: Buffer.from(body), contentType });
  return [model, ...models];
};

describe('a form', () => {
  test.each([
    [
      'within another part',
      `${part('name="prompt"', 'name="model"\r\n\r\ncheap')}${part('name="model"', 'dear')}--B--`,
      ['dear'],
    ],
    ['twice', `${part('name="model"', 'cheap')}${part('name="model"', 'dear')}--B--`, ['cheap', 'dear']],
    ['without quotes', `${part('name=model', 'dear')}--B--`, ['dear']],
    ['in the name of a file', `${part('name="file"; filename="model"', 'x')}--B--`, [undefined]],
    ['nowhere', `${part('name="file"', 'x')}--B--`, [undefined]],
  ])('that has a model %s is read part by part', (_where, body, found) => {
    expect(modelsIn(body)).toEqual(found);
  });

  const known = part('name="model"', 'cheap');
  test.each([
    ['a folded field', `${known}--B\r\ncontent-disposition: form-data;\r\n name="model"\r\n\r\ndear\r\n--B--`],
    [
      'a long section',
      `${known}--B\r\nx: ${'y'.repeat(3000)}\r\ncontent-disposition: form-data; name="model"\r\n\r\ndear\r\n--B--`,
    ],
    ['blanks around a sign', `${known}${part('name = "model"', 'dear')}--B--`],
    ['two names', `${known}${part('name="file"; name="model"', 'dear')}--B--`],
    ['the later notation', `${known}${part(`name*=UTF-8''model`, 'dear')}--B--`],
    ['no disposition', `${known}--B\r\nx: y\r\n\r\ndear\r\n--B--`],
    ['a model without an end', `${known}${part('name="model"', 'd'.repeat(300))}--B--`],
    ['very many parts', part('name="a"', 'x').repeat(2000)],
    ['something before its parts', `x\r\n${known}--B--`],
    ['a JSON text before its parts', `{"model":"cheap"}\r\n${known}--B--`],
    ['a blank behind a delimiter', `${known}--B \r\ncontent-disposition: form-data; name="model"\r\n\r\ndear\r\n--B--`],
    ['a bare line end before a delimiter', `${part('name="a"', 'x\n--B')}${known}--B--`],
    [
      'a bare line end in a section',
      `${known}--B\r\nx: b\ncontent-disposition: form-data; name="model"\r\n\r\ndear\r\n--B--`,
    ],
    ['an end that goes on', `${known}--B--x\r\n${part('name="model"', 'dear')}--B--`],
    ['no end', known],
    ['an encoded name', `${known}${part('name="=?utf-8?q?model?="', 'dear')}--B--`],
    ['an escaped name', `${known}${part('name="mo\\\\del"', 'dear')}--B--`],
    [
      'an encoded value',
      `--B\r\ncontent-transfer-encoding: quoted-printable\r\ncontent-disposition: form-data; name="model"\r\n\r\nche=61p\r\n--B--`,
    ],
    ['a value of two lines', `${part('name="model"', 'cheap\r\nmore')}--B--`],
  ])('that programs may read differently, by %s, has no known model', (_why, body) => {
    expect(modelsIn(body)).toEqual([undefined]);
  });

  test.each([
    'multipart/form-data; boundary=B; boundary=C',
    `multipart/form-data; boundary=${'B'.repeat(71)}`,
    'multipart/form-data; boundary=B,C',
    'multipart/form-data; boundary=B"x',
    'multipart/form-data; x="; boundary=B"; boundary =C',
    "multipart/form-data; boundary*=utf-8''C; boundary=B",
    'multipart/form-data; boundary="\\\\B"',
    'multipart/mixed; boundary=B',
  ])('is not read where its type is %s', (type) => {
    expect(modelsIn(`${known}--B--`)).toEqual(['cheap']);
    expect(modelsIn(`${known}--B--`, type)).toEqual([undefined]);
  });

  test.each(['filename="x; name=model"', "filename*=UTF-8''a%20b", 'filename="a\\"; name=\\"model"'])(
    'with a file %s is read',
    (file) => {
      expect(modelsIn(`${part(`name="file"; ${file}`, 'x')}${known}--B--`)).toEqual(['cheap']);
    },
  );

  test('full of delimiters is read in one pass', () => {
    // Anything that looks back at each of them would take longer than a test may.
    for (const line of ['--B\n', '--B\r\n', '\r\n--B', '\r\n--Bx\r\n']) modelsIn(line.repeat(4_000_000 / line.length));
    expect(modelsIn(`${known}${'\n--B\n'.repeat(500_000)}\r\n--B--`)).toEqual([undefined]);
  });

  test('is read by its own boundary, quoted or not', () => {
    const body = `\r\n${part('name="model"', 'm')}--B--`.replaceAll('--B', '--a b');
    expect(modelsIn(body, 'multipart/form-data; boundary="a b"')).toEqual(['m']);
    expect(modelsIn(`${part('name="model"', 'm')}--B--\r\n`, 'text/plain')).toEqual([undefined]);
  });
});
