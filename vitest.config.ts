import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['tests/{unit,property,integration,system,architecture}/**/*.test.ts'],
    // Real processes and sockets: forks, because the daemon sets its umask, which threads may not.
    pool: 'forks',
    testTimeout: 30_000,
    hookTimeout: 30_000,
    restoreMocks: true,
  },
});
