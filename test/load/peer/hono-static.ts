// Hono as its documentation shows it: serveStatic for files, a route for scripts. For comparison. Takes the folder to serve.
import { serve } from '@hono/node-server'
import { serveStatic } from '@hono/node-server/serve-static'
import { Hono } from 'hono'
import { scriptText } from './http.ts'

const root = process.argv[2] ?? '.'
const app = new Hono()
app.get('/hello', (c) => c.text('hello\n'))
app.get('/boot/:name{.+\\.ipxe}', (c) => c.text(scriptText(c.req.param('name').replace('.ipxe', ''))))
app.use('/configs/*', serveStatic({ root, rewriteRequestPath: () => '/configs/default.tar.gz' }))
app.use('/*', serveStatic({ root }))
serve({ fetch: app.fetch, port: 8080, hostname: '10.77.0.1' })
