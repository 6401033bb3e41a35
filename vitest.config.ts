import { defineConfig } from 'vitest/config'

// CI is one machine of two cores on which QEMU emulates a PC: generous limits, files one after the other where they need the machine.
export default defineConfig({
  test: {
    projects: [
      { test: { name: 'unit', include: ['test/**/*.test.ts'], exclude: ['test/qemu/**', 'test/interop/**', 'test/ipxe-real/**', '**/node_modules/**'], testTimeout: 20_000 } },
      { test: { name: 'real', include: ['test/qemu/**/*.test.ts', 'test/interop/**/*.test.ts', 'test/ipxe-real/**/*.test.ts'], testTimeout: 240_000, hookTimeout: 120_000, fileParallelism: false, sequence: { groupOrder: 1 } } },
    ],
  },
})
