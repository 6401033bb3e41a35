#!/usr/bin/env node
// PXE Pilot's command under its own name, for scripts that call it.
import { launch } from './launch.mjs'

launch(['src/cli/main.ts', 'pilot', ...process.argv.slice(2)])
