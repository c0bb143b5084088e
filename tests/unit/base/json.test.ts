import { expect, it, test } from 'vitest';
import {
  isRecord,
  parseJson,
  parseJsonObject,
  readArray,
  readField,
  readNumber,
  readString,
  toRecord,
} from '../../../src/base/json.ts';

test.each(['', '{', 'undefined', 'NaN', "{'a':1}"])('%j is not JSON', (text) => {
  expect(parseJson(text)).toBeUndefined();
  expect(parseJsonObject(text)).toBeUndefined();
});

it('a document is read whatever its shape; an object only where it is one', () => {
  expect(parseJson('null')).toBeNull();
  expect(parseJson('[1]')).toEqual([1]);
  expect(parseJsonObject('[1]')).toBeUndefined();
  expect(parseJsonObject('null')).toBeUndefined();
  expect(parseJsonObject('{"a":1}')).toEqual({ a: 1 });
});

test.each([null, undefined, 1, 'text', [1]])('%j has no fields', (value) => {
  expect(isRecord(value)).toBe(false);
  expect(toRecord(value)).toEqual({});
  expect(readField(value, 'length')).toBeUndefined();
});

it('a field is read only where it has the type that is asked for', () => {
  const document = { text: 'a', number: 1, list: [1], none: null };
  expect(readString(document, 'text')).toBe('a');
  expect(readNumber(document, 'number')).toBe(1);
  expect(readArray(document, 'list')).toEqual([1]);
  for (const name of ['none', 'missing']) {
    expect(readString(document, name)).toBeUndefined();
    expect(readNumber(document, name)).toBeUndefined();
    expect(readArray(document, name)).toBeUndefined();
  }
  expect(readNumber({ number: Number.NaN }, 'number')).toBeUndefined();
});

it('what an object inherits is not a field of it', () => {
  expect(readField({}, 'toString')).toBeUndefined();
  expect(readField(parseJson('{"__proto__":{"admin":true}}'), 'admin')).toBeUndefined();
});
