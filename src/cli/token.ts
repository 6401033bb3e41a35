// `bivouac token new|list|revoke`: operator tokens. Over the server when one runs, else in the state folder.
import { type Command, Option } from 'commander'
import { type Role, roles, type TokenInfo } from '../store/token.ts'
import type { Context } from './context.ts'
import { withManager } from './local-api.ts'
import { formatTable, say, sayJson } from './output.ts'

export function addTokenCommand(program: Command, context: () => Context): void {
  const token = program.command('token').description('operator tokens: writing needs one, and reading from elsewhere')
  token
    .command('new [name]')
    .description('make a token and show it once; one of the same name is replaced')
    .addOption(new Option('--role <role>', 'read: look; operate: next boots, saving, power; admin: everything').choices([...roles]).default('admin'))
    .option('--dry-run', 'only tell what would be made')
    .addHelpText(
      'after',
      '\nExamples:\n  bivouac token new\n  bivouac token new night-shift --role operate\n  bivouac token new monitoring --role read --json',
    )
    .action((name: string | undefined, { role, dryRun = false }: { role: Role; dryRun?: boolean }) =>
      dryRun ? tellPlan(context(), { name: name ?? 'operator', role }) : makeToken(context(), name ?? 'operator', role),
    )
  token
    .command('list')
    .description('all tokens by name and role; their texts are kept nowhere')
    .addHelpText('after', '\nExamples:\n  bivouac token list')
    .action(() => listTokens(context()))
  token
    .command('revoke <name>')
    .description('take a token away')
    .option('--dry-run', 'only tell it')
    .addHelpText('after', '\nExamples:\n  bivouac token revoke night-shift')
    .action(async (name: string, { dryRun = false }: { dryRun?: boolean }) => {
      if (dryRun) return tellPlan(context(), { name })
      await withManager(context(), (call) => call('DELETE', `/api/v1/tokens/${encodeURIComponent(name)}`))
      if (context().json) return sayJson({ revoked: name })
      say(`${name} is no token any more`)
    })
}

async function makeToken(context: Context, name: string, role: Role): Promise<void> {
  const { token } = await withManager(context, (call) => call<{ token: string }>('POST', '/api/v1/tokens', { name, role }))
  if (context.json) return sayJson({ token, name, role })
  say(`New ${role} token "${name}", shown only now: ${token}`)
  say('Use it as BIVOUAC_TOKEN in the environment of the bivouac command, or as "Authorization: Bearer …".')
}

async function listTokens(context: Context): Promise<void> {
  const tokens = await withManager(context, (call) => call<TokenInfo[]>('GET', '/api/v1/tokens'))
  if (context.json) return sayJson(tokens)
  if (!tokens.length) return say('no tokens yet: the first start of the server makes one')
  say(
    formatTable(
      ['name', 'role', 'made', 'by'],
      tokens.map(({ name, role, madeAt, by }) => [name, role, madeAt === null ? '-' : new Date(madeAt).toISOString(), by ?? '-']),
    ),
  )
}

function tellPlan({ json }: Context, { name, role }: { name: string; role?: Role }): void {
  if (json) return sayJson({ name, ...(role && { role }), dryRun: true })
  say(role ? `would make the ${role} token ${name}; one of the same name would be refused from then on` : `would take the token ${name} away`)
}
