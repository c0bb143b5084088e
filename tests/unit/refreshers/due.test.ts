import { describe, expect, it } from 'vitest';
import { Secret } from '../../../src/base/secret.ts';
import { parseAccountFile } from '../../../src/refreshers/account-file.ts';
import { demandedValidity, HeldToken, refreshDue } from '../../../src/refreshers/held-token.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const MINUTE = 60_000;

function minutesAfterStart(lifetimeMinutes: number, random = 0.5): number {
  return refreshDue(lifetimeMinutes * MINUTE, lifetimeMinutes * MINUTE, random) / MINUTE;
}

describe('the due time of a token', () => {
  it('is at 80 % of its life, or five minutes before expiry where that is earlier', () => {
    expect(minutesAfterStart(60)).toBe(48);
    expect(minutesAfterStart(600)).toBe(480);
    expect(minutesAfterStart(20)).toBe(15);
    expect(minutesAfterStart(12)).toBe(7);
  });

  it('is never before half of its life, so that a short-lived token is not renewed without end', () => {
    expect(minutesAfterStart(8)).toBe(4);
    expect(minutesAfterStart(1)).toBe(0.5);
  });

  it('is moved by up to a tenth either way', () => {
    expect(minutesAfterStart(60, 0)).toBeCloseTo(48 * 0.9);
    expect(minutesAfterStart(60, 0.999_999)).toBeCloseTo(48 * 1.1, 3);
  });

  it('takes an hour of life for granted where the file does not say when the token was obtained', () => {
    const clock = new ManualClock();
    const expiresAt = clock.now() + 60 * MINUTE;
    const accessToken = new Secret('a');
    const file = { ...parseAccountFile({ refresh_token: 'r', expires_at: expiresAt }, false), accessToken };
    expect(new HeldToken(file, true, clock, 0.5).dueAt).toBe(clock.now() + 48 * MINUTE);
  });
});

it('a caller cannot demand more validity than a new token has', () => {
  const life = 60 * MINUTE;

  expect(demandedValidity(10 * MINUTE, life)).toBe(10 * MINUTE);
  expect(demandedValidity(600 * MINUTE, life)).toBe(57 * MINUTE);
  // A token of a minute would be renewed with every call otherwise.
  expect(demandedValidity(MINUTE, MINUTE)).toBe(MINUTE / 2);
});
