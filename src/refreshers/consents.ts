/**
 * Consent flows that are under way: one per account at most, each in a worker process that holds
 * its secrets.
 */

import { randomUUID } from 'node:crypto';
import { AipassError } from '../base/errors.ts';
import type { ConsentPrompt } from '../protocol/oauth.ts';
import type { ConsentRequest, JobAccount, WorkerReport } from './worker/job.ts';
import type { TokenWorker } from './worker-process.ts';
import { consentErrors, workerFailed } from './messages.ts';

export type Consented = Omit<Extract<WorkerReport, { kind: 'consented' }>, 'kind'>;

/** Time that a user has, in milliseconds. */
export const CONSENT_LIMIT_MS = 10 * 60_000;

interface Flow {
  readonly account: string;
  paste: ((address: string) => void) | undefined;
}

export class Consents {
  readonly #worker: TokenWorker;
  readonly #flows = new Map<string, Flow>();

  constructor(worker: TokenWorker) {
    this.#worker = worker;
  }

  /**
   * Asks a user for consent. `onPrompt` is called with what the user has to do, and the id by which
   * a pasted address finds its flow.
   *
   * @throws AipassError BAD_REQUEST where a flow for the account is under way already, and whatever
   * the flow ends with.
   */
  async run(
    account: JobAccount,
    request: ConsentRequest,
    onPrompt: (flow: string, prompt: ConsentPrompt) => void,
    signal: AbortSignal,
  ): Promise<Consented> {
    for (const { account: other } of this.#flows.values()) {
      if (other === account.name) throw consentErrors.underWay(other);
    }
    const id = randomUUID();
    const flow: Flow = { account: account.name, paste: undefined };
    this.#flows.set(id, flow);
    try {
      const report = await this.#worker.run(
        { kind: 'consent', account, request },
        {
          conversation: {
            onPrompt: (prompt) => onPrompt(id, prompt),
            onStarted: (paste) => {
              flow.paste = paste;
            },
            signal,
          },
        },
      );
      if (report.kind === 'refused') throw AipassError.fromWire(report.error);
      if (report.kind !== 'consented') throw workerFailed(undefined);
      return { scopes: report.scopes, refusedScopes: report.refusedScopes, renewable: report.renewable };
    } finally {
      this.#flows.delete(id);
    }
  }

  /** Passes on the address that a browser elsewhere was sent to. */
  paste(id: string, address: string): void {
    const paste = this.#flows.get(id)?.paste;
    if (paste === undefined) throw consentErrors.over();
    // One line is one message to the worker.
    paste(address.replace(/[\r\n]+/g, ''));
  }
}
