/**
 * `gateway.*`: access of programs to the HTTP gateway over loopback.
 */

import { z } from 'zod';
import { AipassError } from '../base/errors.ts';
import type { Right, TokenGrant } from '../callers/access.ts';
import type { Vault } from '../credentials/vault.ts';
import type { EarlierAccess, GatewayOpenParams, GatewayRoutes, NamedToken } from '../protocol/gateway.ts';
import type { Operations } from '../protocol/operations.ts';
import type { Dialect } from '../providers/provider.ts';
import { unknownProvider, type Providers } from '../providers/registry.ts';
import type { Accounts } from '../refreshers/accounts.ts';
import type { OperationGroup, OperationContext } from './operation.ts';

/** Tokens of named callers, as the operations need them. */
interface NamedTokenStore {
  /** Creates the token of a name in place of an earlier one, unless there are too many. */
  create(
    name: string,
    uid: number,
    rights: readonly Right[],
  ): { readonly token: string; readonly replaced: boolean } | undefined;
  remove(name: string): boolean;
  list(): NamedToken[];
}

/** Loopback access, as the operations need it. */
interface RunAccess {
  readonly configuredPort: () => number | null;
  readonly named: () => NamedTokenStore;
  openRun(grant: TokenGrant): Promise<{ readonly port: number; readonly token: string; readonly close: () => void }>;
  /** Gives a run the port and token back that it had before the daemon restarted. */
  reopenRun(grant: TokenGrant, earlier: EarlierAccess): Promise<{ readonly close: () => void }>;
}

export interface GatewayOperationsDeps {
  readonly vault: Vault;
  readonly providers: Providers;
  readonly defaultProvider: string;
  readonly gateway: RunAccess;
  readonly accounts: Accounts;
}

const providerNames = z.array(z.string().min(1).max(64)).max(64).optional();

const runSchema = z.strictObject({
  program: z.string().min(1).max(128),
  providers: providerNames,
  google: z.string().min(1).max(64).optional(),
  git: z.boolean().optional(),
});

const tokenName = z.string().regex(/^[\w.-]{1,64}$/, 'must be letters, digits, ".", "_" and "-", 64 at most');

/** A program calls providers, and gets no values. */
const RUN_RIGHTS: ReadonlySet<Right> = new Set(['use']);
/** Values of the accounts that the run was made for alone: see gateway/management.ts. */
const RUN_RIGHTS_WITH_TOKENS: ReadonlySet<Right> = new Set(['use', 'reveal']);

/** Returns the rights of a named token: whoever may change credentials has to see them. */
function tokenRights({ see, admin }: Pick<Operations['gateway.token.create']['params'], 'see' | 'admin'>): Right[] {
  if (admin === true) return ['see', 'use', 'admin'];
  return see === true ? ['see', 'use'] : ['use'];
}

export function gatewayOperations(deps: GatewayOperationsDeps): OperationGroup<'gateway'> {
  const { gateway } = deps;
  return {
    'gateway.describe': {
      right: 'see',
      schema: z.strictObject({ providers: providerNames }),
      handle: ({ providers }) => ({ port: gateway.configuredPort(), routes: chooseRoutes(deps, providers) }),
    },
    'gateway.open': {
      right: 'use',
      schema: runSchema,
      audit: { outcome: 'changed', credential: ({ program }) => program },
      async handle(params, context) {
        const { grant, routes } = await grantRun(deps, params, context);
        const run = await gateway.openRun(grant);
        closeWith(context.closed, run);
        return { port: run.port, token: run.token, routes };
      },
    },
    'gateway.reopen': {
      right: 'use',
      schema: runSchema.extend({
        port: z.int().min(1).max(65_535),
        tokenHash: z.string().regex(/^[0-9a-f]{64}$/),
      }),
      audit: { outcome: 'changed', credential: ({ program }) => program },
      async handle({ port, tokenHash, ...params }, context) {
        const { grant } = await grantRun(deps, params, context);
        closeWith(context.closed, await gateway.reopenRun(grant, { port, tokenHash }));
        return { port };
      },
    },
    'gateway.token.create': {
      right: 'admin',
      schema: z.strictObject({
        name: tokenName,
        uid: z.int().min(0).max(0xffff_fffe).optional(),
        see: z.boolean().optional(),
        admin: z.boolean().optional(),
      }),
      audit: {
        outcome: 'released',
        credential: ({ name }) => `gateway/${name}`,
        detail: (params) => tokenRights(params).join(' '),
      },
      handle({ name, uid, ...params }, { caller }) {
        const owner = uid ?? caller.peer?.uid;
        const made = owner === undefined ? undefined : gateway.named().create(name, owner, tokenRights(params));
        if (made !== undefined) return { name, ...made, port: gateway.configuredPort() };
        throw owner === undefined
          ? new AipassError('BAD_REQUEST', 'the system does not report who asks', { hint: 'give the user: --uid' })
          : new AipassError('CONFLICT', 'there are too many tokens', {
              hint: 'remove one: aipassd gateway-token NAME --remove',
            });
      },
    },
    'gateway.token.list': {
      right: 'see',
      schema: z.strictObject({}),
      handle: () => ({ tokens: gateway.named().list() }),
    },
    'gateway.token.remove': {
      right: 'admin',
      schema: z.strictObject({ name: tokenName }),
      audit: {
        outcome: 'changed',
        credential: ({ name }) => `gateway/${name}`,
        hasChangedNothing: (_params, { removed }) => !removed,
      },
      handle: ({ name }) => ({ removed: gateway.named().remove(name) }),
    },
  };
}

/**
 * Returns what a run may do, checked by the rights that its caller has now.
 *
 * @throws AipassError FORBIDDEN, and NOT_FOUND for an account or provider that is not there.
 */
async function grantRun(
  deps: GatewayOperationsDeps,
  { program, providers, google, git = false }: GatewayOpenParams,
  { caller, requireRight }: Pick<OperationContext, 'caller' | 'requireRight'>,
): Promise<{ readonly grant: TokenGrant; readonly routes: GatewayRoutes }> {
  const isForValues = google !== undefined || git;
  if (isForValues) requireRight('reveal');
  // A run for an account that is not there would fail later, in words of its own.
  if (google !== undefined) await deps.accounts.find(google, 'token');
  const routes = chooseRoutes(deps, providers, isForValues);
  if (caller.peer === null) {
    throw new AipassError('FORBIDDEN', 'the system does not report who asks, and loopback is open to every user', {
      hint: 'install the package koffi, or use the Unix socket gateway.sock',
    });
  }
  const grant = {
    name: program,
    session: caller.session,
    uid: caller.peer.uid,
    rights: google === undefined ? RUN_RIGHTS : RUN_RIGHTS_WITH_TOKENS,
    oauthAccounts: new Set(google === undefined ? [] : [google]),
    providers: providers === undefined ? null : new Set(routes.providers),
  };
  return { grant, routes };
}

/** Ends a run with the connection that asked for it. */
function closeWith(closed: AbortSignal, { close }: { readonly close: () => void }): void {
  if (closed.aborted) close();
  else closed.addEventListener('abort', close, { once: true });
}

/**
 * Chooses which provider serves which dialect.
 *
 * @param mayBeNone whether a run without any provider has a use.
 * @throws AipassError NOT_FOUND for a name that is not a provider, and where no provider has a key.
 */
function chooseRoutes(
  { vault, providers, defaultProvider }: Omit<GatewayOperationsDeps, 'gateway' | 'accounts'>,
  named: readonly string[] | undefined,
  mayBeNone = false,
): GatewayRoutes {
  const known = providers.names();
  for (const name of named ?? []) {
    if (providers.find(name) === undefined) throw unknownProvider(name, known, defaultProvider);
  }
  const isUsable = (name: string): boolean => {
    const provider = providers.find(name);
    if (provider === undefined) return false;
    return (
      vault.keys(name).length > 0 || (!provider.needsKey && (provider.source !== 'built-in' || named !== undefined))
    );
  };
  const usable = (named ?? known).filter(isUsable);
  if (usable.length === 0 && !(mayBeNone && named === undefined)) {
    const problem =
      named === undefined
        ? 'no provider has a key'
        : `no API key for ${new Intl.ListFormat('en', { type: 'disjunction' }).format(named)}`;
    throw new AipassError('NOT_FOUND', problem, { hint: `run: aipassd add ${named?.[0] ?? defaultProvider}` });
  }
  const choose = (dialect: Dialect, preferred: readonly string[], isAnyMeant: boolean): string | null => {
    const speaking = usable.filter((name) => providers.find(name)?.dialects[dialect] !== undefined);
    return preferred.find((name) => speaking.includes(name)) ?? (isAnyMeant ? (speaking[0] ?? null) : null);
  };
  // Whoever is named first is meant; without names, the dialect's own provider, else the default
  // one.
  const first = named?.filter((name) => name !== 'anthropic' && name !== 'google') ?? [];
  return {
    openai: choose('openai', named === undefined ? ['openai', defaultProvider] : first, true),
    anthropic: choose(
      'anthropic',
      ['anthropic', ...(named === undefined ? [defaultProvider] : [])],
      named !== undefined,
    ),
    gemini: choose('gemini', ['google'], named !== undefined),
    providers: usable,
    known,
  };
}
