/**
 * Checks the way to the network, and that providers can be reached: any HTTP answer counts, because
 * no key is sent.
 */

import { systemErrorCode } from '../base/errors.ts';
import { describeCertificateFailure, describeNetwork, type NetworkReport } from '../base/network.ts';
import { findingsOf, type Finding } from './finding.ts';
import { judgeClock } from './machine-checks.ts';

/** Time limit of one request, in milliseconds. */
const REACH_LIMIT_MS = 5000;

/** A provider and its address. */
export interface ReachTarget {
  readonly name: string;
  readonly baseUrl: string;
}

/** Sends a request to each provider, and compares the clock with the first date in an answer. */
export async function checkProviders(targets: readonly ReachTarget[], send: typeof fetch = fetch): Promise<Finding[]> {
  const results = await Promise.all(targets.map((target) => reach(target, send)));
  const clock = results.find((result) => result.clock !== undefined)?.clock;
  return [...results.map((result) => result.finding), ...(clock === undefined ? [] : [clock])];
}

/**
 * Describes the way to the network that the daemon uses; warns where this shell has a proxy and the
 * daemon none.
 */
export function checkNetwork(report: NetworkReport, shellProxy: string | undefined): Finding[] {
  const { ok, warning } = findingsOf('network');
  const lines = describeNetwork(report);
  const findings = (
    lines.length === 0 ? ['the daemon uses no proxy and the usual certificate authorities'] : lines
  ).map((line) => ok(line));
  if (shellProxy !== undefined && report.httpsProxy === null) {
    findings.push(
      warning('HTTPS_PROXY is set here, and the daemon uses no proxy', 'set "network.proxy" in its configuration'),
    );
  }
  return findings;
}

async function reach(target: ReachTarget, send: typeof fetch): Promise<{ finding: Finding; clock?: Finding }> {
  const { ok, problem } = findingsOf('providers');
  const begun = performance.now();
  try {
    const response = await send(target.baseUrl, {
      method: 'HEAD',
      redirect: 'manual',
      signal: AbortSignal.timeout(REACH_LIMIT_MS),
    });
    await response.body?.cancel();
    const tripMs = performance.now() - begun;
    const finding = ok(`${target.name} answers (${Math.round(tripMs)} ms)`);
    const date = response.headers.get('date');
    return date === null ? { finding } : { finding, clock: judgeClock(Date.now(), date, tripMs) };
  } catch (error) {
    const code = reason(error);
    const certificate = describeCertificateFailure(code, new URL(target.baseUrl).host);
    return {
      finding: problem(
        `${target.name} cannot be reached: ${certificate?.problem ?? code}`,
        certificate?.hint ?? `curl -sI ${target.baseUrl}`,
      ),
    };
  }
}

/** Returns why a fetch failed, without its message, which could quote the request. */
function reason(error: unknown): string {
  if (error instanceof Error && error.name === 'TimeoutError') return `no answer within ${REACH_LIMIT_MS / 1000} s`;
  const cause = error instanceof Error ? error.cause : undefined;
  return systemErrorCode(cause) ?? systemErrorCode(error) ?? 'no connection';
}
