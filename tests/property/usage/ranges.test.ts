import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { ALL_RESOLUTIONS, bucketOf, planRange, RESOLUTIONS } from '../../../src/usage/store/resolutions.ts';
import { LATENCY_BUCKETS, latencyBucket, latencyPercentile } from '../../../src/usage/store/sums.ts';
import { csvLine } from '../../../src/protocol/csv.ts';

const time = fc.integer({ min: 0, max: 4_000_000_000_000 });
const DAY = 86_400_000;

it('a range is put together from buckets and edges that cover each of its moments once, and none beside it', () => {
  fc.assert(
    fc.property(
      time,
      fc.nat(500 * DAY),
      fc.boolean(),
      fc.array(fc.nat(600 * DAY), { maxLength: 20 }),
      (since, length, open, more) => {
        const until = open ? null : since + length;
        const plan = planRange({ since, until, minutesSince: 0, hoursSince: 0, daysSince: 0 });
        for (const at of [
          since - 1,
          since,
          since + length - 1,
          since + length,
          ...more.map((offset) => since + offset),
        ]) {
          if (at < 0) continue;
          const inBuckets = plan.buckets.filter(
            ({ resolution, from, to }) => bucketOf(at, resolution) >= from && bucketOf(at, resolution) < to,
          ).length;
          const inEdges = plan.edges.filter(({ from, to }) => at >= from && at < to).length;
          expect(inBuckets + inEdges).toBe(at >= since && (until === null || at < until) ? 1 : 0);
        }
      },
    ),
  );
});

it('a range whose small buckets are pruned is widened to those that are there, and says so', () => {
  fc.assert(
    fc.property(time, fc.nat(500 * DAY), time, fc.nat(40 * DAY), (since, length, minutesSince, older) => {
      const hours = Math.floor(minutesSince / RESOLUTIONS[1].ms) * RESOLUTIONS[1].ms;
      const days = Math.floor(Math.max(0, hours - older) / DAY) * DAY;
      const plan = planRange({ since, until: since + length, minutesSince: hours, hoursSince: days, daysSince: 0 });
      expect(plan.since).toBeLessThanOrEqual(since);
      expect(plan.until).toBeGreaterThanOrEqual(since + length);
      for (const { resolution, from } of plan.buckets) {
        const kept = [hours, days, 0, 0][resolution] ?? 0;
        expect(from * RESOLUTIONS[resolution].ms).toBeGreaterThanOrEqual(kept);
      }
      expect(plan.edges.every((edge) => edge.from >= hours)).toBe(true);
    }),
  );
});

it('a range is put together from fewer buckets of each size than a larger one holds, and of pruned blocks none', () => {
  fc.assert(
    fc.property(time, fc.nat(500 * DAY), (since, pruned) => {
      const daysSince = Math.max(0, Math.floor((since - pruned) / DAY) * DAY);
      const plan = planRange({ since, until: null, minutesSince: 0, hoursSince: 0, daysSince });
      for (const { resolution, from, to } of plan.buckets) {
        expect(from * RESOLUTIONS[resolution].ms).toBeGreaterThanOrEqual(daysSince);
        expect(to - from).toBeLessThan([60, 24, 32][resolution] ?? Infinity);
      }
    }),
  );
});

it('buckets of a larger resolution begin where buckets of each smaller one do', () => {
  for (const resolution of ALL_RESOLUTIONS.slice(1))
    expect(RESOLUTIONS[resolution].ms % (RESOLUTIONS[resolution - 1]?.ms ?? 1)).toBe(0);
});

it('a percentile is off by 27 % at most, from 16 ms to nine minutes', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 16, max: 500_000 }), { minLength: 1, maxLength: 200 }), (latencies) => {
      const counts = Array.from({ length: LATENCY_BUCKETS }, () => 0);
      for (const latency of latencies) {
        const bucket = latencyBucket(latency);
        counts[bucket] = (counts[bucket] ?? 0) + 1;
      }
      const sorted = latencies.toSorted((a, b) => a - b);
      for (const share of [0.5, 0.9, 0.99]) {
        const exact = sorted[Math.ceil(share * sorted.length) - 1] ?? 0;
        const told = latencyPercentile(counts, share) ?? 0;
        expect(Math.abs(told - exact) / exact).toBeLessThan(0.3);
      }
    }),
  );
});

it('no cell of CSV is a formula, and each line reads back as its cells', () => {
  const cell = fc.oneof(fc.string(), fc.constantFrom('=1+1', '@SUM(A1)', '-2', '+3', '\t=4', 'a"b', 'c,d', 'e\r\nf'));
  fc.assert(
    fc.property(fc.array(cell, { minLength: 1, maxLength: 5 }), (cells) => {
      const line = csvLine(cells);
      const read = parseCsvLine(line);
      expect(read).toHaveLength(cells.length);
      for (const [index, text] of read.entries()) {
        expect(text).not.toMatch(/^[=+\-@\t\r\n]/);
        expect(text.replace(/^'/, '')).toBe((cells[index] ?? '').replace(/^'/, ''));
      }
    }),
  );
});

function parseCsvLine(line: string): string[] {
  const cells: string[] = [];
  const body = line.slice(0, -2);
  for (let at = 0; at <= body.length; at++) {
    if (body[at] === '"') {
      let text = '';
      for (at++; !(body[at] === '"' && body[at + 1] !== '"'); at++) {
        if (body[at] === '"') at++;
        text += body[at] ?? '';
      }
      cells.push(text);
      at++;
    } else {
      const end = body.indexOf(',', at);
      cells.push(body.slice(at, end === -1 ? body.length : end));
      at = end === -1 ? body.length : end;
    }
  }
  return cells;
}
