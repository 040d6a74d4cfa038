import { defineConfig } from 'vitest/config'

// The tests use the built package as its users do; it is loaded by node itself, never transformed.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts', 'test/**/*.test.mts', 'test/**/*.test.cts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    teardownTimeout: 10_000,
    server: { deps: { external: [/\/dist\//] } },
    reporters: ['default'],
  },
})
