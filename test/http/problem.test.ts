import { describe, expect, it } from 'vitest'
import { ConflictError, DecodeError, InputError, MissingError, OutsideError } from '../../src/boot/error.ts'
import { refuse, respondProblem } from '../../src/http/problem.ts'

const cases: [Error, number, string, string][] = [
  [new DecodeError('mac', 'no MAC'), 400, 'mac', 'Bad Request'],
  [new InputError('limit', 'too many', { path: 'limit' }), 400, 'limit', 'Bad Request'],
  [new MissingError('station', 'nobody'), 404, 'station', 'Not Found'],
  [new ConflictError('taken', 'in use'), 409, 'taken', 'Conflict'],
  [new OutsideError('mirror', 'no answer', true), 503, 'mirror', 'Service Unavailable'],
  [new OutsideError('mirror', 'refused', false), 502, 'mirror', 'Bad Gateway'],
]

describe('problems', () => {
  it.each(cases)('%s is %i', async (error, status, code, title) => {
    const response = respondProblem(error)
    expect(response.headers.get('content-type')).toBe('application/problem+json')
    expect(response.headers.get('retry-after')).toBe(status === 503 ? '2' : null)
    expect(await response.json()).toMatchObject({ type: 'about:blank', status, code, title, detail: error.message })
  })

  it('shows the place of an input error', async () => {
    expect(await respondProblem(new InputError('limit', 'too many', { path: 'limit' })).json()).toMatchObject({ place: { path: 'limit' } })
  })

  it('hides the text of a fault of ours', async () => {
    const text = await respondProblem(new TypeError('/secret/path')).text()
    expect(JSON.parse(text)).toMatchObject({ status: 500, code: 'internal' })
    expect(text).not.toContain('secret')
  })

  it('makes refusals that are no errors', async () => {
    const response = refuse(401, 'token-needed', 'a token', { 'WWW-Authenticate': 'Bearer' })
    expect([response.status, response.headers.get('www-authenticate'), ((await response.json()) as { code: string }).code]).toEqual([
      401,
      'Bearer',
      'token-needed',
    ])
  })
})
