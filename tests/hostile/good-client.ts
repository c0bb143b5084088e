/**
 * A well-behaved client in a process of its own, so that the attacker's work is not measured. It
 * asks once a millisecond or so, one request at a time. Its parent says `measure`, and is told how
 * long the answers took since; `rest`; or `work`.
 */

import { connectTo, frame, FRAME_END, HELLO } from './wire.ts';

/** What the client saw since it was last asked. Times are milliseconds. */
export interface Measured {
  readonly asked: number;
  readonly answered: number;
  readonly refused: number;
  readonly p50: number;
  readonly p99: number;
  readonly longest: number;
  /** Whether the connection is still open. */
  readonly connected: boolean;
  /** The daemon's pid, as its welcome tells. */
  readonly pid: number | null;
}

const [path = '', op = '', params = '{}'] = process.argv.slice(2);
const socket = await connectTo(path);
socket.setEncoding('utf8');

let text = '';
let id = 0;
let askedAt = 0;
let pid: number | null = null;
let times: number[] = [];
let asked = 0;
let answered = 0;
let refused = 0;
let resting = false;
let idle = false;

function ask(): void {
  id += 1;
  asked += 1;
  askedAt = performance.now();
  socket.write(frame('request', { id, op, params: JSON.parse(params) }));
}

socket.on('data', (chunk: string) => {
  text += chunk;
  const frames = text.split(FRAME_END);
  text = frames.pop() ?? '';
  for (const one of frames) {
    const message: unknown = JSON.parse(one);
    if (typeof message !== 'object' || message === null || !('type' in message)) continue;
    const data: unknown = 'data' in message ? message.data : undefined;
    if (typeof data !== 'object' || data === null) continue;
    if (message.type === 'welcome') {
      pid = 'pid' in data && typeof data.pid === 'number' ? data.pid : null;
      ask();
    } else if ('id' in data && data.id === id) {
      times.push(performance.now() - askedAt);
      if (message.type === 'reply') answered += 1;
      else refused += 1;
      setTimeout(() => {
        if (!resting) ask();
        else idle = true;
      }, 1);
    }
  }
});
socket.write(HELLO);

process.on('message', (order) => {
  if (order === 'measure') tell();
  resting = order === 'rest';
  if (order !== 'work' || !idle) return;
  idle = false;
  ask();
});

function tell(): void {
  const sorted = times.toSorted((a, b) => a - b);
  const waiting = performance.now() - askedAt;
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? waiting;
  process.send?.({
    asked,
    answered,
    refused,
    p50: at(0.5),
    p99: at(0.99),
    longest: Math.max(at(1), answered + refused < asked ? waiting : 0),
    connected: !socket.destroyed,
    pid,
  } satisfies Measured);
  // A request may be under way: it counts for the next span.
  asked -= answered + refused;
  answered = 0;
  refused = 0;
  times = [];
}
