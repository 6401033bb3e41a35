// Telling when something in a set of folders changes: the kernel's notices, gathered for a moment, and a look every half minute for
// network mounts, which give none. Used by store/record. It keeps no process alive.
import { type FSWatcher, statSync, watch } from 'node:fs'
import { dirname } from 'node:path'

export type WatchOptions = {
  /** Quiet time after the last notice before the change is told; told at the latest after ten times as long. */
  readonly debounceMs: number
  /** How often the change is told without any notice. */
  readonly recheckMs: number
}

export const watchDefaults: WatchOptions = { debounceMs: 75, recheckMs: 30_000 }

export interface FolderWatch {
  /** From now on these folders, each by itself without those below it. One that is absent is waited for in the nearest folder above. */
  follow(folders: readonly string[]): void
  close(): void
}

const maxWatched = 2_000

/** `onChange` is called after each burst of changes; it must not throw. */
export function watchFolders(onChange: () => void, { debounceMs, recheckMs }: WatchOptions): FolderWatch {
  const watched = new Map<string, { readonly identity: string; readonly watcher: FSWatcher }>()
  let quiet: NodeJS.Timeout | undefined
  let latest: NodeJS.Timeout | undefined
  let isClosed = false
  const recheck = setInterval(onChange, recheckMs).unref()

  const tell = () => {
    clearTimeout(quiet)
    clearTimeout(latest)
    latest = undefined
    onChange()
  }
  const notice = () => {
    if (isClosed) return
    clearTimeout(quiet)
    quiet = setTimeout(tell, debounceMs).unref()
    latest ??= setTimeout(tell, debounceMs * 10).unref()
  }
  const drop = (folder: string) => {
    watched.get(folder)?.watcher.close()
    watched.delete(folder)
  }
  const add = (folder: string, identity: string) => {
    try {
      const watcher = watch(folder, { persistent: false }, notice)
      watcher.on('error', () => drop(folder))
      watched.set(folder, { identity, watcher })
      // What happened between the last look and now.
      notice()
    } catch {
      // No watches left (fs.inotify.max_user_watches), or gone again: the look every half minute remains.
    }
  }

  return {
    follow(folders) {
      if (isClosed) return
      const wanted = new Map(folders.slice(0, maxWatched).map(nearest))
      for (const [folder, { identity }] of watched) if (wanted.get(folder) !== identity) drop(folder)
      for (const [folder, identity] of wanted) if (!watched.has(folder)) add(folder, identity)
    },
    close() {
      isClosed = true
      clearInterval(recheck)
      clearTimeout(quiet)
      clearTimeout(latest)
      for (const folder of [...watched.keys()]) drop(folder)
    },
  }
}

/** The folder, or the nearest one above that exists, and which one it is: a folder that was made again needs a new watch. */
function nearest(folder: string): [string, string] {
  try {
    const { dev, ino } = statSync(folder)
    return [folder, `${dev}:${ino}`]
  } catch {
    const above = dirname(folder)
    return above === folder ? [folder, ''] : nearest(above)
  }
}
