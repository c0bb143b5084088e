/**
 * All verbs, in the order in which help lists them. Each is loaded when it is needed: one command
 * needs one of them.
 */

import type { Verb } from '../verb.ts';

const LOADERS: Readonly<Record<string, () => Promise<Verb>>> = {
  run: async () => (await import('./install.ts')).run,
  init: async () => (await import('./credential.ts')).init,
  add: async () => (await import('./credential.ts')).add,
  status: async () => (await import('./status.ts')).status,
  'get-key': async () => (await import('./key.ts')).getKey,
  'get-secret': async () => (await import('./secret.ts')).getSecret,
  'set-secret': async () => (await import('./secret.ts')).setSecret,
  'remove-secret': async () => (await import('./secret.ts')).removeSecret,
  'credential list': async () => (await import('./credential.ts')).credentialList,
  'credential show': async () => (await import('./credential.ts')).credentialShow,
  'credential add': async () => (await import('./credential.ts')).credentialAdd,
  'credential set': async () => (await import('./credential.ts')).credentialSet,
  'credential on': async () => (await import('./credential.ts')).credentialOn,
  'credential off': async () => (await import('./credential.ts')).credentialOff,
  'credential rotate': async () => (await import('./credential.ts')).credentialRotate,
  'credential test': async () => (await import('./credential.ts')).credentialTest,
  'credential usage': async () => (await import('./credential.ts')).credentialUsage,
  'credential rm': async () => (await import('./credential.ts')).credentialRemove,
  token: async () => (await import('./account.ts')).token,
  reauth: async () => (await import('./account.ts')).reauth,
  refresh: async () => (await import('./account.ts')).refresh,
  revoke: async () => (await import('./account.ts')).revoke,
  validate: async () => (await import('./key.ts')).validate,
  test: async () => (await import('./provider.ts')).testConnection,
  models: async () => (await import('./provider.ts')).models,
  call: async () => (await import('./call.ts')).call,
  exec: async () => (await import('./exec.ts')).exec,
  'git-credential': async () => (await import('./git-credential.ts')).gitCredential,
  'gateway-token': async () => (await import('./exec.ts')).gatewayToken,
  pool: async () => (await import('./key.ts')).pool,
  'pool explain': async () => (await import('./key.ts')).poolExplain,
  stats: async () => (await import('./usage.ts')).stats,
  session: async () => (await import('./usage.ts')).session,
  'caller-usage': async () => (await import('./usage.ts')).callerUsage,
  track: async () => (await import('./usage.ts')).track,
  cleanup: async () => (await import('./usage.ts')).cleanup,
  export: async () => (await import('./usage.ts')).exportUsage,
  import: async () => (await import('./import.ts')).importFile,
  'list-providers': async () => (await import('./provider.ts')).listProviders,
  audit: async () => (await import('./audit.ts')).audit,
  logs: async () => (await import('./audit.ts')).logs,
  doctor: async () => (await import('./doctor.ts')).doctor,
  install: async () => (await import('./install.ts')).install,
  uninstall: async () => (await import('./install.ts')).uninstall,
  completion: async () => (await import('./completion.ts')).completion,
  'completion names': async () => (await import('./completion.ts')).completionNames,
};

export const VERB_NAMES: readonly string[] = Object.keys(LOADERS);

/** Loads the verb of a name, or returns undefined where there is none. */
export async function loadVerb(name: string | undefined): Promise<Verb | undefined> {
  return name !== undefined && Object.hasOwn(LOADERS, name) ? LOADERS[name]?.() : undefined;
}

/** Loads every verb, for help. */
export function loadVerbs(): Promise<Verb[]> {
  return Promise.all(Object.values(LOADERS).map((load) => load()));
}
