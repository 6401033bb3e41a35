// `bivouac profile …`: what stations boot. Over the server when one runs, else on the depot itself.
import type { Command } from 'commander'
import type { Profile } from '../boot/record.ts'
import type { Context } from './context.ts'
import { withManager } from './local-api.ts'
import { formatTable, say, sayJson } from './output.ts'
import { addRecordCommands, changeRecord, type DryRun, type Shown } from './record.ts'
import { patchOf } from './record-patch.ts'

export function addProfileCommand(program: Command, context: () => Context): void {
  const profile = program.command('profile').description('profiles: what stations boot')
  profile
    .command('list')
    .description('all profiles, and how many stations name them')
    .addHelpText('after', '\nExamples:\n  bivouac profile list')
    .action(() => listProfiles(context()))
  profile
    .command('add <name> <keys...>')
    .description('make a profile from key=value; kind= must be there')
    .option('-n, --dry-run', 'say what would be written, write nothing')
    .addHelpText(
      'after',
      '\nExamples:\n  bivouac profile add disk kind=local\n  bivouac profile add kiosk kind=alpine "layers=[base, kiosk]" match.group=kiosk',
    )
    .action((name: string, keys: string[], options: DryRun) =>
      changeRecord(context(), 'POST', 'profile', '', { name, ...patchOf(keys) }, options, `made profile ${name}`),
    )
  addRecordCommands(profile, context, 'profile')
}

async function listProfiles(context: Context): Promise<void> {
  const profiles = await withManager(context, (call) => call<Shown[]>('GET', '/api/v1/profiles'))
  if (context.json) return sayJson(profiles)
  say(
    formatTable(
      ['name', 'kind', 'stations', ''],
      profiles.map(({ name, record, stations = [], builtIn }) => [
        name,
        (record as Profile).kind,
        String(stations.length),
        builtIn ? 'built in' : '',
      ]),
    ),
  )
}
