// Package caches before an upstream on the load side: ours, and nginx as it is set up for that. Used by scenario/mirror.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Depot } from '../depot.ts'
import { loadAddress, serverAddress } from '../place.ts'
import { httpPort } from './http.ts'
import { ownServer } from './own.ts'
import { type Peer, program } from './peer.ts'

export const upstreamPort = 9090
export const upstreamUrl = `http://${loadAddress}:${upstreamPort}`

export const ownCache = (depot: Depot, profileFolder?: string | undefined): Peer =>
  ownServer({ depot, profileFolder, more: `mirror: { upstream: "${upstreamUrl}" }\n` })

/** With the lock that keeps a hundred clients from asking upstream a hundred times. */
export const nginxCache = (): Peer => ({
  name: 'nginx',
  needs: ['nginx'],
  launch: (folder) => {
    const file = join(folder, 'nginx.conf')
    writeFileSync(file, cacheText(folder))
    return [{ argv: [program('nginx'), '-p', folder, '-e', join(folder, 'error.log'), '-c', file], ports: [`tcp:${httpPort}`] }]
  },
})

const cacheText = (folder: string): string => `
daemon off; user root; pid ${folder}/nginx.pid; worker_processes 1; worker_rlimit_nofile 65536;
error_log ${folder}/error.log crit;
events { worker_connections 16384; }
http {
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; default_type application/octet-stream;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
  proxy_cache_path ${folder}/cache levels=1:2 keys_zone=apk:10m max_size=2g inactive=1d use_temp_path=off;
  server {
    listen ${serverAddress}:${httpPort} backlog=4096;
    location /apk/ {
      proxy_pass ${upstreamUrl}/; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_cache apk; proxy_cache_valid 200 1d; proxy_cache_lock on; proxy_cache_lock_timeout 60s; proxy_buffers 64 16k;
    }
  }
}
`
