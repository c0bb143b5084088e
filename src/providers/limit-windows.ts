/**
 * Reads limit windows from the headers of an answer, and finds the one that a refusal was about.
 * Pure.
 *
 * A value that cannot be (negative, past, huge, in another format) is unknown, never a number.
 */

import type { LimitPeriod, LimitWindow } from '../protocol/pool.ts';
import { limitHeaderRules, type LimitHeaders } from './limit-headers.ts';
import { MAX_RESET_MS, parseReset } from './reset-formats.ts';

/** Largest count that is believed: above it sums are no longer exact. */
const MAX_COUNT = Number.MAX_SAFE_INTEGER;

const COUNT = /^\d{1,16}(?:\.0+)?$/;
const SHARE = /^\d{1,4}(?:\.\d{1,20})?$/;

/**
 * Reads every window that the provider is known to write, or an unknown one may; header names are
 * lower-case. Empty where there is none.
 */
export function readWindows(
  provider: string | undefined,
  headers: Readonly<Record<string, string>>,
  now: number,
): readonly LimitWindow[] {
  const windows: LimitWindow[] = [];
  for (const spec of limitHeaderRules(provider)) {
    const window = readWindow(spec, headers, now);
    if (window && !windows.some(({ name }) => name === window.name)) windows.push(window);
  }
  return windows;
}

/** Wait of a refused key for a window; `daily` is true for the window of a day. */
export interface WindowWait {
  readonly waitMs: number;
  readonly daily: boolean;
}

/**
 * Returns the wait that the headers of a 429 ask for. That is the longest among the windows with
 * nothing left. Where no window reports what is left, it is the shortest reset. Null where they
 * name windows that all have something left. Where none of the provider's own headers has a reset,
 * it is read as that of an unknown provider. What answers may be a gateway.
 */
export function refusedWait(
  provider: string,
  headers: Readonly<Record<string, string>>,
  now: number,
): WindowWait | null {
  const own = readWindows(provider, headers, now);
  const isTold = own.some((window) => window.resetAt !== null);
  return waitOf(isTold ? own : readWindows(undefined, headers, now), provider, now);
}

function waitOf(all: readonly LimitWindow[], provider: string, now: number): WindowWait | null {
  const refills = new Set(limitHeaderRules(provider).flatMap((spec) => (spec.refill ? [spec.name] : [])));
  const windows = all.filter((window) => !refills.has(window.name));
  const waits = (among: readonly LimitWindow[]): WindowWait[] =>
    among
      .flatMap(({ resetAt, per }) => (resetAt === null ? [] : [{ waitMs: resetAt - now, daily: per === 'day' }]))
      .toSorted((a, b) => a.waitMs - b.waitMs);
  const empty = waits(windows.filter((window) => window.remaining === 0 || (window.percent ?? 0) >= 100));
  if (empty.length > 0) return empty.at(-1) ?? null;
  return waits(windows.filter((window) => window.remaining === null && window.percent === null))[0] ?? null;
}

function readWindow(
  spec: LimitHeaders,
  headers: Readonly<Record<string, string>>,
  now: number,
): LimitWindow | undefined {
  const text = (name: string | null | undefined): string => (name ? (headers[name] ?? '') : '');
  const limit = readCount(text(spec.limit)) || null;
  const remaining = readCount(text(spec.remaining));
  const share = readShare(text(spec.share));
  const resetMs = parseReset(text(spec.reset), spec.format, now);
  if (limit === null && remaining === null && share === null && resetMs === null) return undefined;

  const used = limit !== null && remaining !== null ? Math.max(0, limit - remaining) : null;
  const percent =
    share === null ? (used === null || limit === null ? null : roundPercent((100 * used) / limit)) : share;
  const resetAt = resetMs === null ? (spec.clockMinute ? endOfMinute(now) : null) : now + resetMs;
  return {
    name: spec.name,
    unit: spec.unit,
    per: spec.per ?? periodOf(readCount(text(spec.period))),
    limit,
    remaining,
    used,
    percent,
    resetAt,
    seenAt: now,
  };
}

function readCount(text: string): number | null {
  const value = text.trim();
  if (!COUNT.test(value)) return null;
  const count = Number(value);
  return count <= MAX_COUNT ? count : null;
}

function readShare(text: string): number | null {
  const value = text.trim();
  // A share a little over 1 is an allowance overdrawn; far over it is another unit.
  return SHARE.test(value) && Number(value) <= 10 ? roundPercent(Math.min(100, Number(value) * 100)) : null;
}

function roundPercent(percent: number): number {
  return Math.round(percent * 10) / 10;
}

function endOfMinute(now: number): number {
  return (Math.floor(now / 60_000) + 1) * 60_000;
}

function periodOf(seconds: number | null): LimitPeriod | null {
  if (seconds === null || seconds * 1000 > MAX_RESET_MS) return null;
  const periods: Readonly<Record<number, LimitPeriod>> = { 1: 'second', 60: 'minute', 3600: 'hour', 86_400: 'day' };
  return periods[seconds] ?? null;
}
