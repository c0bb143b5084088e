import { expect, it } from 'vitest';
import { UserLimits } from '../../../src/callers/user-limits.ts';

const clockAt = { ms: 0 };
const clock = { now: () => clockAt.ms, monotonic: () => clockAt.ms, after: () => () => {} };
const limits = {
  connectionsOfOthers: 100,
  connections: 2,
  inFlight: 3,
  waitingBytes: 100,
  requestsPerSecond: undefined,
};

it('one user over a limit takes nothing from another', () => {
  const books = new UserLimits(limits, clock);
  expect([books.connect(1, false), books.connect(1, false), books.connect(1, false), books.connect(2, false)]).toEqual([
    true,
    true,
    false,
    true,
  ]);
  books.disconnect(1, false);
  expect(books.connect(1, false)).toBe(true);
});

it('a request over the limit is refused until another ends', () => {
  const books = new UserLimits(limits, clock);
  for (let at = 0; at < 3; at += 1) expect(books.beginRequest(1, 10).kind).toBe('admitted');
  expect(books.beginRequest(1, 10)).toMatchObject({ kind: 'refused', limit: 'inFlight' });
  books.endRequest(1, 10);
  expect(books.beginRequest(1, 10).kind).toBe('admitted');
});

it('the load is the sum over all users', () => {
  const books = new UserLimits(limits, clock);
  for (const uid of [1, 2]) {
    books.connect(uid, uid === 1);
    books.beginRequest(uid, 10);
  }
  expect(books.load).toEqual({ connections: 2, requestsInFlight: 2 });
  books.endRequest(2, 10);
  books.disconnect(2, false);
  expect(books.load).toEqual({ connections: 1, requestsInFlight: 1 });
});

it('requests a second are limited, and the refusal says how long to wait', () => {
  const books = new UserLimits({ ...limits, inFlight: 100, requestsPerSecond: 2 }, clock);
  books.connect(1, false);
  const once = () => {
    const admission = books.beginRequest(1, 10);
    if (admission.kind === 'admitted') books.endRequest(1, 10);
    return admission;
  };
  expect([once().kind, once().kind]).toEqual(['admitted', 'admitted']);
  expect(once()).toEqual({ kind: 'refused', limit: 'requestsPerSecond', retryAfterMs: 500 });
  clockAt.ms += 500;
  expect(once().kind).toBe('admitted');
});

it('requests in flight hold only so much together, but one of any size may be', () => {
  const books = new UserLimits(limits, clock);
  expect(books.beginRequest(1, 500).kind).toBe('admitted');
  expect(books.beginRequest(1, 10)).toMatchObject({ kind: 'refused', limit: 'waitingBytes' });
  expect(books.beginRequest(2, 60).kind).toBe('admitted');
  books.endRequest(1, 500);
  expect([books.beginRequest(1, 60).kind, books.beginRequest(1, 40).kind]).toEqual(['admitted', 'admitted']);
  expect(books.beginRequest(1, 1)).toMatchObject({ kind: 'refused', limit: 'waitingBytes' });
});

it('bytes that wait are counted over all connections of a user', () => {
  const books = new UserLimits(limits, clock);
  expect(books.wait(1, 60)).toBe(true);
  expect(books.wait(1, 60)).toBe(false);
  expect(books.wait(1, -60)).toBe(true);
});

it('a user of whom nothing is held is forgotten', () => {
  const books = new UserLimits(limits, clock);
  books.connect(1, false);
  books.beginRequest(1, 10);
  books.wait(1, 10);
  books.endRequest(1, 10);
  books.wait(1, -10);
  books.disconnect(1, false);
  expect(books.users).toBe(0);
});

it('requests a second are limited for who connects anew for each request, too', () => {
  const books = new UserLimits({ ...limits, requestsPerSecond: 2 }, clock);
  const once = () => {
    books.connect(1, false);
    const admission = books.beginRequest(1, 10);
    if (admission.kind === 'admitted') books.endRequest(1, 10);
    books.disconnect(1, false);
    return admission.kind;
  };
  expect([once(), once(), once()]).toEqual(['admitted', 'admitted', 'refused']);
  clockAt.ms += 500;
  expect([once(), once()]).toEqual(['admitted', 'refused']);
});

it('what a user asked for is forgotten once it counts no more', () => {
  const books = new UserLimits({ ...limits, requestsPerSecond: 2 }, clock);
  for (let uid = 1; uid <= 10; uid += 1) {
    books.connect(uid, false);
    books.beginRequest(uid, 10);
    books.endRequest(uid, 10);
    books.disconnect(uid, false);
  }
  expect(books.users).toBe(10);
  clockAt.ms += 500;
  books.connect(11, false);
  expect(books.users).toBe(1);
  books.disconnect(11, false);
  expect(books.users).toBe(0);
});

it('the own user and root get a connection whatever others hold', () => {
  const books = new UserLimits({ ...limits, connectionsOfOthers: 3 }, clock);
  const others = [1, 1, 2].map((uid) => books.connect(uid, false));
  expect([...others, books.connect(3, false)]).toEqual([true, true, true, false]);
  expect([books.connect(0, true), books.connect(1000, true), books.connect(1000, true)]).toEqual([true, true, true]);
  // Their own limit holds for them as well, and what they hold takes nobody's place.
  expect(books.connect(1000, true)).toBe(false);
  books.disconnect(2, false);
  expect(books.connect(3, false)).toBe(true);
});
