import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // Real processes and sockets: forks, because the daemon sets its umask, which threads may not.
    pool: 'forks',
    globalSetup: 'tests/support/compile-cache.ts',
    // They wait more than they compute: as many as there are cores would leave a quarter of them idle.
    maxWorkers: availableParallelism() + 1,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    restoreMocks: true,
    // `npm run coverage`: what runs in this process; the daemon as a process is not counted.
    coverage: { provider: 'v8', include: ['src/**/*.ts'], reporter: ['text-summary', 'html'] },
    projects: [
      // What starts nothing of its own shares a worker from file to file, which saves a third of its time.
      { extends: true, test: { name: 'pure', include: ['tests/{unit,property}/**/*.test.ts'], isolate: false } },
      { extends: true, test: { name: 'real', include: ['tests/{integration,system,architecture}/**/*.test.ts'] } },
    ],
  },
});
