// Runs a script of ours, or a tool of node_modules/.bin, under a Node that is new enough, with dependencies installed.
// Every npm script and the `bivouac` command start here. Plain JavaScript that even Node 18 parses; never touches the system's Node.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const runtimeFolder = dirname(fileURLToPath(import.meta.url))
const projectFolder = join(runtimeFolder, '..', '..')
const floor = [22, 19]

/** Is this version (`v22.19.0`) at or above the floor? */
function isNewEnough(version) {
  const [major, minor] = version.replace(/^v/, '').split('.').map(Number)
  return major > floor[0] || (major === floor[0] && minor >= floor[1])
}

function stop(exitCode, ...lines) {
  for (const line of lines) process.stderr.write(`bivouac: ${line}\n`)
  process.exit(exitCode)
}

/** The path of a Node that can run us: BIVOUAC_NODE, the running one, or the pinned one, fetched from npm on first use. */
function findNode() {
  const own = process.env.BIVOUAC_NODE
  if (own) {
    const answer = spawnSync(own, ['--version'], { encoding: 'utf8' })
    if (answer.status !== 0) stop(69, `BIVOUAC_NODE=${own} does not run.`)
    if (!isNewEnough(answer.stdout.trim())) stop(69, `BIVOUAC_NODE=${own} is ${answer.stdout.trim()}; ${floor.join('.')} or newer is needed.`)
    return own
  }
  return isNewEnough(process.version) ? process.execPath : pinnedNode()
}

function pinnedNode() {
  const isMusl = !process.report.getReport().header.glibcVersionRuntime
  if (process.platform !== 'linux' || isMusl || !['x64', 'arm64'].includes(process.arch)) {
    stop(
      69,
      `Node ${process.version} is too old; ${floor.join('.')} or newer is needed.`,
      isMusl ? 'On Alpine 3.22 or newer: apk add nodejs npm' : 'Install a newer Node, or set BIVOUAC_NODE to one.',
    )
  }
  const { version } = JSON.parse(readFileSync(join(runtimeFolder, 'package.json'), 'utf8'))
  const folder = join(runtimeFolder, 'node_modules', `node-linux-${process.arch}`)
  const binary = join(folder, 'bin', 'node')
  const isThere = () => existsSync(binary) && JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).version === version
  if (isThere()) return binary
  process.stderr.write(`bivouac: Node ${process.version} is too old, fetching Node ${version} into src/runtime (52 MB, once)\n`)
  withLock('runtime', () => {
    if (!isThere()) runNpm(runtimeFolder, process.env)
  })
  if (!isThere()) stop(69, `npm did not bring ${binary}; set BIVOUAC_NODE to a Node ${floor.join('.')} or newer.`)
  return binary
}

/** Installs what package-lock.json names, when the last install was for another lock file or platform. */
function installDependencies(environment) {
  const stamp = join(projectFolder, 'node_modules', '.bivouac-stamp')
  const wanted = createHash('sha256')
    .update(readFileSync(join(projectFolder, 'package-lock.json')))
    .update(`${process.platform} ${process.arch}`)
    .digest('hex')
  const isDone = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted
  if (isDone()) return
  withLock('dependencies', () => {
    if (isDone()) return
    process.stderr.write('bivouac: installing dependencies (once)\n')
    runNpm(projectFolder, environment)
    writeFileSync(stamp, wanted)
  })
}

// npm's own notices would drown the few lines that matter; its errors are kept.
// What its cache has is taken unasked, for the lock file's digests vouch for it: without the internet it would wait for minutes first.
function runNpm(folder, environment) {
  const result = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'], {
    cwd: folder,
    env: environment,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  if (result.error) stop(69, 'npm was not found. On Debian: apt-get install npm; on Alpine: apk add npm')
  if (result.status !== 0)
    stop(
      69,
      `npm ci failed in ${folder}; see its message above.`,
      'Without the internet: start it once where there is some, and carry the whole folder over.',
    )
}

/** Runs `work` while holding a lock file with our process id, so that two first starts at once do not undo each other's install. */
function withLock(name, work) {
  const lock = join(runtimeFolder, `.lock-${name}`)
  while (!take(lock)) {
    if (!isAlive(Number(readFileSync(lock, 'utf8')))) rmSync(lock, { force: true })
    else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200)
  }
  // Also when npm fails, which ends the process.
  const release = () => rmSync(lock, { force: true })
  process.once('exit', release)
  work()
  release()
  process.off('exit', release)
}

function take(lock) {
  try {
    writeFileSync(lock, String(process.pid), { flag: 'wx' })
    return true
  } catch (error) {
    if (error.code !== 'EEXIST') stop(73, `cannot write in ${runtimeFolder}: ${error.message}`)
    return false
  }
}

function isAlive(processId) {
  try {
    return process.kill(processId, 0)
  } catch (error) {
    return error.code === 'EPERM'
  }
}

/** Spawns the command and becomes its shadow: its signals, its exit code. */
function become(node, environment, [command, ...args]) {
  const isScript = /\.[mc]?[jt]s$/.test(command)
  const target = isScript ? join(projectFolder, command) : join(projectFolder, 'node_modules', '.bin', command)
  const child = spawn(node, ['--disable-warning=ExperimentalWarning', target, ...args], { env: environment, stdio: 'inherit' })
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2']
  for (const signal of signals) process.on(signal, () => child.kill(signal))
  child.on('error', (error) => stop(69, `${node}: ${error.message}`))
  child.on('exit', (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)))
}

/** Sees to runtime and dependencies, then runs `[script or tool, ...arguments]`. */
export function launch(command) {
  if (!command.length) stop(64, 'usage: node src/runtime/launch.mjs <script or tool> [arguments]')
  const node = findNode()
  const environment = { ...process.env, PATH: dirname(node) + delimiter + process.env.PATH }
  installDependencies(environment)
  become(node, environment, command)
}

if (process.argv[1] && fileURLToPath(import.meta.url) === process.argv[1]) launch(process.argv.slice(2))
