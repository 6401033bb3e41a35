#!/usr/bin/env node
// The `bivouac` command: the command line under a Node that is new enough.
import { launch } from './launch.mjs'

launch(['src/cli/main.ts', ...process.argv.slice(2)])
