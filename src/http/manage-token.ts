// The API of operator tokens. Called by manage; admins alone may.
import { z } from 'zod'
import { InputError, MissingError } from '../boot/error.ts'
import { nameSchema } from '../boot/field.ts'
import { createToken, listTokens, localName, revokeToken, roles } from '../store/token.ts'
import type { ManageDeps } from './manage-find.ts'
import type { RouteTable } from './route.ts'

const tokenView = z.object({ name: z.string(), role: z.enum(roles), madeAt: z.number().nullable(), by: z.string().nullable() })

/** Adds the routes. */
export function addTokenRoutes({ add }: RouteTable, { marks }: ManageDeps): void {
  add({ method: 'GET', path: '/tokens', right: 'admin', summary: 'Operator tokens, without their texts', answer: z.array(tokenView) }, () =>
    listTokens(marks),
  )
  add(
    {
      method: 'POST',
      path: '/tokens',
      right: 'admin',
      summary: 'Make a token, in place of an older one of that name; its text is told only now',
      body: z.strictObject({ name: nameSchema, role: z.enum(roles).default('operate') }),
      answer: z.object({ name: z.string(), role: z.enum(roles), token: z.string() }),
      status: 201,
    },
    async ({ body: { name, role }, by }) => ({ name, role, token: await createToken(marks, { name, role, by }) }),
  )
  add({ method: 'DELETE', path: '/tokens/:name', right: 'admin', summary: 'Take a token away' }, async ({ part }) => {
    const name = part('name')
    const isLastAdmin = listTokens(marks)
      .filter((token) => token.role === 'admin' && token.name !== localName)
      .every((token) => token.name === name)
    if (isLastAdmin && listTokens(marks).some((token) => token.name === name && token.role === 'admin'))
      throw new InputError('token-last', `${name} is the last admin's token; make another first`)
    if (!(await revokeToken(marks, name))) throw new MissingError('token-missing', `there is no token ${name.slice(0, 64)}`)
  })
}
