// A source tree of our own that builds like iPXE's: same targets, variables and traps, no code of iPXE's. Each "binary" is a text that says what went into it.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type IpxeTools, openIpxeTools } from '../../../src/ipxe/tools.ts'
import { runTool, type Run } from '../../../src/ipxe/run.ts'
import { brandingHeader, generalHeader, namedHeader } from './header.ts'

// A failing header option, a slow one, and TRUST whose content is tracked by name only, as in iPXE. The log of makes tells how often and with what.
const makefile = `
SHELL := /bin/bash
BIN := $(firstword $(subst /, ,$(firstword $(MAKECMDGOALS))))
LOCALS := $(sort $(wildcard config/local/*.h))
comma := ,
files = $(subst $(comma), ,$(1))

$(BIN)/blib.a : $(LOCALS) config/general.h
	@mkdir -p $(BIN)
	@echo "  [BUILD] $(BIN)/one.o"
	@if grep -q 'define BREAK_IT' config/local/general.h; then echo "core/one.c:7:1: error: 'BREAK_IT' is broken" >&2; exit 1; fi
	@if grep -q 'define SLOW_IT' config/local/general.h; then sleep 30; fi
	@cat $(LOCALS) > $@
	@echo tree >> ../../../../makes.log

define pack
@echo "  [LD] $@"
@{ echo "binary $@"; cat $(BIN)/blib.a; echo "embed:"; cat $(call files,$(EMBED)) /dev/null; \\
   echo "trust: $(TRUST) cert: $(CERT) key: $(PRIVKEY) debug: $(DEBUG) config: $(CONFIG) cross: $(CROSS_COMPILE)"; \\
   echo "epoch: $(SOURCE_DATE_EPOCH) version: $(GITVERSION) id: $(shell $(BUILD_ID_CMD)) goals: $(MAKECMDGOALS)"; \\
   for f in $(call files,$(TRUST)); do echo "ca $$f"; cat $$f; done; } > $@
@echo "  [FINISH] $@"
@echo "job $@" >> ../../../../../makes.log
endef

%.kpxe : $(BIN)/blib.a
	$(pack)
%.efi : $(BIN)/blib.a
	$(pack)
%.usb : $(BIN)/blib.a
	$(disk)
%.dsk : $(BIN)/blib.a
	$(pack)
usbdisk.bin $(BIN)/usbdisk.bin : $(BIN)/blib.a
	@{ head -c 510 /dev/zero; printf '\\125\\252'; } > $@
%.bin : $(BIN)/blib.a
	$(image)
%.zinfo : %.bin
	@size=$$(stat -c %s $<); { printf 'COPY\\0\\0\\0\\0'; for shift in 0 8 16 24; do printf "\\\\x$$(printf %x $$(( size >> shift & 255 )))"; done; printf '\\1\\0\\0\\0'; } > $@

# An image with what a patch looks for: the script, and the CAs' digests in a row.
define image
@{ echo "packed image of $@"; cat $(call files,$(EMBED)) /dev/null; \\
   for f in $(call files,$(TRUST)); do printf "$$(grep -v CERT $$f | base64 -d | sha256sum | cut -c 1-64 | sed 's/../\\\\x&/g')"; done; } > $@
endef

# A boot sector and what follows.
define disk
@{ head -c 510 /dev/zero; printf '\\125\\252'; cat $(call files,$(EMBED)) /dev/null; } > $@
endef
`

const extraOptions = '//#define BREAK_IT	/* Does not compile */\n//#define SLOW_IT	/* Takes half a minute */\n'

/** Writes the tree; answers the folder that holds src/. */
export async function writeStandIn(folder: string, note = ''): Promise<string> {
  await mkdir(join(folder, 'src/config/local'), { recursive: true })
  await mkdir(join(folder, 'src/config/defaults'), { recursive: true })
  await writeFile(join(folder, 'src/Makefile'), makefile + note)
  await writeFile(join(folder, 'src/config/general.h'), generalHeader.replace('#define NET_ROAD', `${extraOptions}#define NET_ROAD`))
  await writeFile(join(folder, 'src/config/branding.h'), brandingHeader)
  await writeFile(join(folder, 'src/config/named.h'), namedHeader)
  await writeFile(join(folder, 'src/config/defaults/pcbios.h'), '#define SHIP_NULL\n')
  await writeFile(join(folder, 'src/config/local/general.h'), '#define LEFT_BEHIND\n')
  return folder
}

/** Names of iPXE's that our own recipes and documents speak of, so that these run against the stand-in too. */
const documented: Readonly<Record<string, readonly string[]>> = {
  'general.h': [
    ...['DOWNLOAD_PROTO_HTTPS', 'NTP_CMD', 'VLAN_CMD', 'PARAM_CMD', 'CERT_CMD', 'CONSOLE_CMD', 'DIGEST_CMD', 'IMAGE_TRUST_CMD'],
    ...['NSLOOKUP_CMD', 'PING_CMD', 'REBOOT_CMD', 'POWEROFF_CMD', 'CONSOLE_SERIAL', 'BANNER_TIMEOUT 20'],
  ],
  'branding.h': ['PRODUCT_NAME ""', 'KEYBOARD_MAP us', 'CROSSCERT "http://maker.example/auto"'],
}

/** The stand-in with those options. Answers its folder. */
export async function writeDocumentedStandIn(folder: string): Promise<string> {
  await writeStandIn(folder)
  for (const [header, lines] of Object.entries(documented)) {
    const path = join(folder, 'src/config', header)
    const text = await readFile(path, 'utf8')
    const own = lines.map((line) => `${line.includes(' ') ? '' : '//'}#define ${line.replace(' ', '\t')}\t/* As documented */\n`).join('')
    await writeFile(path, text.replace('\n#include <config/named.h>', `\n${own}\n#include <config/named.h>`))
  }
  return folder
}

export type Camp = {
  readonly folder: string
  readonly tools: IpxeTools
  readonly source: string
  readonly makes: () => Promise<string[]>
  readonly open: (run?: Run) => Promise<IpxeTools>
  readonly close: () => Promise<void>
}

/** A depot, a state folder and a source named `stand-in` in a temporary folder. */
export async function openCamp({
  concurrency = 2,
  timeoutMs = 20_000,
  run = runTool,
}: {
  concurrency?: number
  timeoutMs?: number
  run?: Run
} = {}): Promise<Camp> {
  const folder = await mkdtemp(join(tmpdir(), 'bivouac-ipxe-'))
  const source = await writeStandIn(join(folder, 'given'))
  const recipes = join(folder, 'recipes')
  await mkdir(recipes)
  await writeFile(join(recipes, 'source.yaml'), `name: stand-in\nurl: ${source}\nrevision: HEAD\ncommit: '${'0'.repeat(40)}'\n`)
  await writeFile(join(recipes, 'boot.ipxe.ejs'), '#!ipxe\nchain <%= it.base %>/boot.ipxe\n')
  let tick = 1_700_000_000_000
  const open = (other: Run = run): Promise<IpxeTools> =>
    openIpxeTools({
      depot: join(folder, 'depot'),
      state: join(folder, 'state'),
      recipesFolder: recipes,
      site: { base: 'http://10.0.0.1' },
      now: () => tick++,
      run: other,
      concurrency,
      cores: 2,
      timeoutMs,
    })
  const tools = await open()
  await tools.sources.add({ from: source, name: 'stand-in' })
  const makes = async (): Promise<string[]> => {
    const text = await readFile(join(folder, 'state/ipxe/makes.log'), 'utf8').catch(() => '')
    return text.trim() === '' ? [] : text.trim().split('\n')
  }
  const close = async (): Promise<void> => {
    await tools.close()
    await rm(folder, { recursive: true, force: true })
  }
  return { folder, tools, source, makes, open, close }
}

/** Real programs, but a compiler, linker and headers that are only said to be there: these tests need make alone. */
export const standInRun: Run = async (argv, options) => {
  const [program = '', word = ''] = argv
  const isProbe = ['--version', '-v', 'version', '-E'].includes(word) && program !== 'make'
  return isProbe ? { code: 0, stdout: `${program} 1.0\n`, tail: [] } : runTool(argv, options)
}

/** The same where some programs or headers are missing. */
export function withoutTools(...names: string[]): Run {
  return async (argv, options) => {
    if (names.includes(argv[0] ?? '') || names.some((name) => options?.input?.includes(name))) return { code: 1, stdout: '', tail: [] }
    return standInRun(argv, options)
  }
}
