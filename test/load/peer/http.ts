// HTTP servers beside us over the same depot: nginx as an administrator would set it up, Hono as its documentation shows it.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { scriptMacs } from '../depot.ts'
import { serverAddress } from '../place.ts'
import { nodeProgram, type Peer, program } from './peer.ts'

export const httpPort = 8080

const base = `http://${serverAddress}:${httpPort}`

/** A script of the size and shape of ours, for servers that have no templates. */
export const scriptText = (mac: string): string => `#!ipxe
echo Boot of ${mac}
imgfree ||
:kernel
kernel ${base}/data/vmlinuz-lts apkovl=${base}/configs/${mac}.tar.gz ip=dhcp modloop=${base}/data/modloop-lts modules=loop,squashfs,sd-mod,usb-storage initrd=initramfs-lts && goto kernel_done ||
kernel ${base}/data/vmlinuz-lts apkovl=${base}/configs/${mac}.tar.gz ip=dhcp modloop=${base}/data/modloop-lts modules=loop,squashfs,sd-mod,usb-storage initrd=initramfs-lts && goto kernel_done ||
sleep 3 || goto failed
goto kernel
:kernel_done
initrd ${base}/data/initramfs-lts && goto initramfs_done ||
initrd ${base}/data/initramfs-lts && goto initramfs_done ||
sleep 3 || goto failed
goto kernel_done
:initramfs_done
boot ||
:failed
imgfree ||
echo ${mac} cannot boot
echo Please check:
echo 1. are the files below data/, and is the kernel made for this machine?
echo 2. what does the log of the server say?
echo 3. is there an overlay for ${mac}, or a default one, below configs/?
sleep 15 ||
exit 1
`

export const nginx = (files: string): Peer => ({
  name: 'nginx',
  needs: ['nginx'],
  launch: (folder) => {
    const file = join(folder, 'nginx.conf')
    writeFileSync(file, nginxText(folder, files))
    return [{ argv: [program('nginx'), '-p', folder, '-e', join(folder, 'error.log'), '-c', file], ports: [`tcp:${httpPort}`] }]
  },
})

// The station's name comes from a map of 10 000 entries, as a site with records would have it; `return` is nginx's fastest answer.
const nginxText = (folder: string, files: string): string => `
daemon off; user root; pid ${folder}/nginx.pid; worker_processes 1; worker_rlimit_nofile 65536;
error_log ${folder}/error.log crit;
events { worker_connections 16384; }
http {
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; default_type application/octet-stream;
  map_hash_max_size 65536; map_hash_bucket_size 128;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
  map $uri $station { default unknown; ${scriptMacs(10_000)
    .map((mac) => `/boot/${mac}.ipxe ${mac};`)
    .join('\n')} }
  server {
    listen ${serverAddress}:${httpPort} backlog=4096; root ${files};
    location = /hello { return 200 "hello\\n"; }
    location /boot/ { default_type text/plain; return 200 "${nginxScript}"; }
    location /configs/ { try_files $uri /configs/default.tar.gz; }
  }
}
`

const nginxScript = scriptText('$station').replaceAll('\n', '\\n')

export const honoStatic = (files: string): Peer => ({
  name: 'hono-static',
  needs: [],
  launch: () => [{ argv: nodeProgram('hono-static.ts', files), ports: [`tcp:${httpPort}`] }],
})
