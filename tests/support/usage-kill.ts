/**
 * Clients that want completions while their daemon is killed again and again: each reply that was
 * received is in the records exactly once. Used by a short system test and by a long script.
 */

import { connect } from '../../src/client/index.ts';
import { AipassError } from '../../src/base/errors.ts';
import { DaemonProcess } from './daemon-process.ts';
import { completionOf, startLoopbackProvider } from './loopback-provider.ts';
import { makeTempHome } from './temp-home.ts';
import { until } from './until.ts';

/** Amounts of work. */
export interface KillPlan {
  readonly clients: number;
  readonly completions: number;
  readonly kills: number;
}

/** What was found afterwards; all but `replies` and `recorded` must be 0. */
export interface KillReport {
  readonly replies: number;
  /**
   * Number of recorded completions that succeeded, also those whose reply was lost with the daemon.
   */
  readonly recorded: number;
  readonly missing: number;
  readonly repeated: number;
  readonly miscounted: number;
}

/** Runs a plan and returns what was found. */
export async function runKillPlan(plan: KillPlan): Promise<KillReport> {
  await using home = makeTempHome();
  let answers = 0;
  await using provider = await startLoopbackProvider({
    reply: () => {
      answers += 1;
      return completionOf('pong', { id: `gen-${String(answers).padStart(12, '0')}` });
    },
  });
  await home.writeKeys({ LOCAL_API_KEY: 'a-key-of-no-worth-0001' });
  await home.writeConfig({ defaultProvider: 'local', providers: { local: { baseUrl: provider.baseUrl } } });

  let daemon = await DaemonProcess.start(home);
  const received: string[] = [];
  const workers = Array.from({ length: plan.clients }, async (_, index) => {
    const wanted = Math.ceil(plan.completions / plan.clients);
    await using aipass = await connect({ caller: `client-${index}`, socket: home.paths.socket });
    for (let got = 0; got < wanted;) {
      try {
        const { id } = await aipass.complete({ model: 'm', messages: [{ role: 'user', content: 'ping' }] });
        received.push(id);
        got += 1;
      } catch (error) {
        if (!(error instanceof AipassError) || !['CANCELLED', 'DAEMON_UNREACHABLE'].includes(error.code)) throw error;
        await until('the daemon is back', () => daemon.isRunning, 60_000);
      }
    }
  });
  const all = Promise.all(workers);
  const killing = (async () => {
    for (let kill = 1; kill <= plan.kills; kill++) {
      const mark = Math.floor((plan.completions * kill) / (plan.kills + 1));
      await until(`${mark} replies`, () => received.length >= mark, 600_000);
      await daemon.kill();
      daemon = await DaemonProcess.start(home);
    }
  })();
  await Promise.all([all, killing]);

  await daemon.kill();
  daemon = await DaemonProcess.start(home);
  const recorded = await readRecorded(home.paths.socket);
  await daemon.stop();
  const counts = new Map<string, number>();
  for (const id of recorded.ids) counts.set(id, (counts.get(id) ?? 0) + 1);
  return {
    replies: received.length,
    recorded: recorded.ids.length,
    missing: received.filter((id) => !counts.has(id)).length,
    repeated: [...counts.values()].filter((count) => count > 1).length,
    miscounted: Math.abs(recorded.counted - recorded.ids.length),
  };
}

/** Reads the ids of all recorded successes, and what the totals count. */
async function readRecorded(socket: string): Promise<{ ids: string[]; counted: number }> {
  await using aipass = await connect({ caller: 'reader', socket });
  let text = '';
  await aipass.usage.export({ format: 'jsonl', status: 'success' }, (piece) => {
    text += piece;
  });
  const ids = text.split('\n').flatMap((line) => {
    const event: unknown = line === '' ? null : JSON.parse(line);
    return typeof event === 'object' && event !== null && 'generationId' in event ? [String(event.generationId)] : [];
  });
  return { ids, counted: (await aipass.stats({ status: 'success' })).total.requests };
}
