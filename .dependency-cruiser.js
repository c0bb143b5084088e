/**
 * Imports point one way (see ARCHITECTURE.md). Each entry names what a folder may import besides itself and outside
 * packages; everything else is forbidden. Type imports count.
 */

/** Maps a folder to the folders it may import. */
const MAY_IMPORT = {
  base: [],
  protocol: ['base'],
  credentials: ['base', 'protocol'],
  refreshers: ['base', 'protocol', 'credentials'],
  providers: ['base', 'protocol'],
  pools: ['base', 'protocol', 'providers'],
  callers: ['base', 'protocol'],
  audit: ['base'],
  usage: ['base', 'protocol'],
  completions: ['base', 'protocol', 'providers', 'pools', 'usage'],
  operations: [
    'base',
    'protocol',
    'credentials',
    'refreshers',
    'providers',
    'pools',
    'callers',
    'completions',
    'usage',
    'audit',
  ],
  ipc: ['base', 'protocol', 'callers', 'operations'],
  gateway: ['base', 'protocol', 'callers', 'providers', 'completions', 'operations', 'usage'],
  client: ['base', 'protocol'],
  service: ['base'],
  // doctor judges a configuration as the daemon does, and that includes the providers made from it; and a unit as install.
  doctor: ['base', 'protocol', 'audit', 'providers', 'service'],
  // install, doctor and audit must work where no daemon runs.
  cli: ['base', 'protocol', 'client', 'service', 'doctor', 'audit'],
};

/** Lists single files that may import more than their folder, with the reason. */
const EXCEPTIONS = {
  // The gateway's socket is checked and guarded as the first one is.
  gateway: '^src/ipc/socket-file\\.ts$',
  // Write files where no daemon can: before it first runs, and into a place of the user's choice.
  cli: '^src/credentials/template\\.ts$',
};

const oneWay = Object.entries(MAY_IMPORT).map(([folder, allowed]) => ({
  name: `${folder}-imports`,
  comment: `src/${folder} may import ${allowed.join(', ') || 'nothing of ours'}`,
  severity: 'error',
  from: { path: `^src/${folder}/` },
  to: {
    path: '^src/',
    pathNot: [`^src/(${[folder, ...allowed].join('|')})/`, ...(EXCEPTIONS[folder] ? [EXCEPTIONS[folder]] : [])],
  },
}));

export default {
  forbidden: [
    ...oneWay,
    {
      name: 'known-folders',
      comment: 'a new folder of src needs an entry in MAY_IMPORT',
      severity: 'error',
      from: { path: '^src/[^/]+/', pathNot: `^src/(${Object.keys(MAY_IMPORT).join('|')})/` },
      to: {},
    },
    {
      name: 'daemon-is-the-root',
      comment: 'nobody imports the composition roots, but cli.ts, which starts the daemon by run.ts',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(cli|run)\\.ts$' },
      to: { path: '^src/(daemon|run|cli)\\.ts$' },
    },
    {
      name: 'daemon-is-no-client',
      comment: 'the daemon uses neither its own client nor the command line',
      severity: 'error',
      from: { path: '^src/(daemon|run)\\.ts$' },
      to: { path: '^src/(client|cli)' },
    },
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    { name: 'resolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      // openai is an optional peer, and installed here for the tests.
      name: 'no-development-packages',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], pathNot: '^node_modules/(@types|openai)/' },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    // The default one does not see `export type … from`.
    parser: 'swc',
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
};
