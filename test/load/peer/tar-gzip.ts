// Overlays made on request by `tar | gzip`, as a small script beside a boot server would: for comparison. Takes the folder to pack.
import { spawn } from 'node:child_process'
import { createServer } from 'node:http'

const tree = process.argv[2] ?? '.'
const command = 'tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -c . | gzip -n'

createServer((_, response) => {
  const child = spawn('sh', ['-c', command], { cwd: tree, stdio: ['ignore', 'pipe', 'inherit'] })
  child.stdout.pipe(response)
}).listen(8080, '10.77.0.1')
