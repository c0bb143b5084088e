import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['tests/{unit,property,integration,system,architecture}/**/*.test.ts'],
    // Real processes and sockets: forks, because the daemon sets its umask, which threads may not.
    pool: 'forks',
    // They wait more than they compute: the default leaves one of two cores idle.
    maxWorkers: Math.max(2, availableParallelism()),
    testTimeout: 30_000,
    hookTimeout: 30_000,
    restoreMocks: true,
  },
});
