/**
 * Chooses how a user is asked for consent: as an MCP server has it, or as the provider's settings
 * have it.
 */

import { readAccountFile } from '../account-file.ts';
import type { WorkerDeps } from './client.ts';
import { runConsent } from './consent.ts';
import type { ConsentChannel, WorkerJob, WorkerReport } from './job.ts';
import { mcpServerOf, runMcpConsent } from './mcp.ts';

/** Does a consent job. @throws AipassError with what went wrong and what to do. */
export async function runConsentJob(
  job: Extract<WorkerJob, { kind: 'consent' }>,
  deps: WorkerDeps,
  channel: ConsentChannel,
): Promise<WorkerReport> {
  const reading = await readAccountFile(job.account.name, job.account.file);
  const server = job.request.mcpServer ?? mcpServerOf(reading.kind === 'read' ? reading.account : null);
  return server === undefined ? await runConsent(job, deps, channel) : await runMcpConsent(job, server, deps, channel);
}
