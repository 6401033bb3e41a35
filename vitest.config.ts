import { defineConfig } from 'vitest/config'

// CI is one machine of two cores on which QEMU emulates a PC: generous limits. Tests of real machines run two files at a time: each makes namespaces of its own.
export default defineConfig({
  test: {
    projects: [
      { test: { name: 'unit', include: ['test/**/*.test.ts'], exclude: ['test/qemu/**', 'test/interop/**', 'test/ipxe-real/**', '**/node_modules/**'], testTimeout: 20_000 } },
      { test: { name: 'real', include: ['test/qemu/**/*.test.ts', 'test/interop/**/*.test.ts', 'test/ipxe-real/**/*.test.ts'], testTimeout: 240_000, hookTimeout: 120_000, maxWorkers: 2, sequence: { groupOrder: 1 } } },
    ],
  },
})
