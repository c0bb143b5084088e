import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: { pool: 'forks', include: ['tests/runtimes/**/*.test.ts'], testTimeout: 60_000, hookTimeout: 120_000 },
});
