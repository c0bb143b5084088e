import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { AipassError, ERROR_CODES, isErrorCode, systemErrorCode } from '../../../src/base/errors.ts';

describe('AipassError', () => {
  it('sends code, message, hint and wait, and nothing else', () => {
    const error = new AipassError('POOL_EXHAUSTED', 'no key is free', {
      hint: 'wait',
      retryAfterMs: 1500,
      cause: new Error('sk-secret'),
    });
    expect(error.toWire()).toStrictEqual({
      code: 'POOL_EXHAUSTED',
      message: 'no key is free',
      hint: 'wait',
      retryAfterMs: 1500,
    });
  });

  it('passes for an error of another copy of the class, and a subclass only for its own', () => {
    class Narrower extends AipassError {}
    const copied = Object.defineProperty(new Error('copied'), Symbol.for('aipassd.AipassError'), { value: true });
    expect(copied).toBeInstanceOf(AipassError);
    expect(new Narrower('INTERNAL', 'x')).toBeInstanceOf(AipassError);
    expect(new Narrower('INTERNAL', 'x')).toBeInstanceOf(Narrower);
    for (const other of [new Error('x'), { code: 'INTERNAL' }, null, undefined, 'text']) {
      expect(other).not.toBeInstanceOf(AipassError);
    }
    expect(new AipassError('INTERNAL', 'x')).not.toBeInstanceOf(Narrower);
    expect(copied).not.toBeInstanceOf(Narrower);
  });

  it('leaves out what it does not have', () => {
    expect(new AipassError('INTERNAL', 'broken').toWire()).toStrictEqual({ code: 'INTERNAL', message: 'broken' });
  });

  it('keeps a wait of zero', () => {
    expect(new AipassError('POOL_EXHAUSTED', 'now', { retryAfterMs: 0 }).toWire()).toMatchObject({ retryAfterMs: 0 });
  });

  it('is the same after a trip over the wire', () => {
    const error = new AipassError('REAUTH_REQUIRED', 'consent again', {
      hint: 'aipassd reauth google',
      retryAfterMs: 7,
    });
    const back = AipassError.fromWire(JSON.parse(JSON.stringify(error.toWire())));
    expect(back).toBeInstanceOf(AipassError);
    expect(back.toWire()).toStrictEqual(error.toWire());
  });

  it('turns the unknown code of a newer daemon into INTERNAL and keeps its name', () => {
    const error = AipassError.fromWire({ code: 'TEAPOT', message: 'short and stout', hint: 'pour' });
    expect(error.code).toBe('INTERNAL');
    expect(error.message).toBe('TEAPOT: short and stout');
    expect(error.hint).toBe('pour');
  });

  it('does not take the names that every object has for codes', () => {
    for (const name of ['constructor', 'toString', '__proto__', 'hasOwnProperty', '']) {
      expect(isErrorCode(name)).toBe(false);
      expect(AipassError.fromWire({ code: name, message: 'x' }).code).toBe('INTERNAL');
    }
  });

  it('keeps its cause reachable, and shows it in no rendering', () => {
    const cause = new Error('the body said sk-or-v1-0123456789');
    const error = new AipassError('PROVIDER_REJECTED', 'refused', { cause });
    expect(error.cause).toBe(cause);
    for (const text of [inspect(error), inspect({ error }), JSON.stringify(error), String(error), error.stack ?? '']) {
      expect(text).not.toContain('0123456789');
    }
  });

  it('has no cause at all where none was given', () => {
    expect(Object.hasOwn(new AipassError('INTERNAL', 'x'), 'cause')).toBe(false);
  });

  it('explains every code in words', () => {
    for (const [code, meaning] of Object.entries(ERROR_CODES)) {
      expect(code).toMatch(/^[A-Z_]+$/);
      expect(meaning.length).toBeGreaterThan(10);
    }
  });
});

describe('systemErrorCode', () => {
  it('reads the code of a system error', () => {
    expect(systemErrorCode(Object.assign(new Error('gone'), { code: 'ENOENT' }))).toBe('ENOENT');
  });

  it('finds none in anything else', () => {
    for (const value of [new Error('x'), { code: 'ENOENT' }, 'ENOENT', null, undefined]) {
      expect(systemErrorCode(value)).toBeUndefined();
    }
    expect(systemErrorCode(Object.assign(new Error('x'), { code: 404 }))).toBeUndefined();
  });
});
