import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['tests/systemd/**/*.test.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // One machine at a time: each boots a systemd of its own.
    fileParallelism: false,
  },
});
