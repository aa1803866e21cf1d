/** Serves a folder on loopback: nginx where it is installed, else scripts/image-server.ts in a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer, get } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { tryCommand } from '../run-command.ts'

export interface BenchServer {
  kind: 'nginx' | 'node'
  url: string
  stop(): Promise<void>
}

/** Serves the files under their base names; `scratch` takes nginx's own files. */
export async function serveFiles(folder: string, paths: string[], scratch: string): Promise<BenchServer> {
  const hasNginx = (await tryCommand('nginx', ['-v'])).status === 0
  const { child, url } = hasNginx ? await startNginx(folder, scratch) : await startNode(paths)
  const stop = async () => {
    const closed = once(child, 'close')
    child.kill()
    await closed
  }
  return { kind: hasNginx ? 'nginx' : 'node', url, stop }
}

async function startNginx(folder: string, scratch: string): Promise<{ child: ChildProcess; url: string }> {
  const port = await freePort()
  await mkdir(scratch, { recursive: true })
  const user = process.getuid?.() === 0 ? 'user root;' : ''
  const config = `${user} daemon off; master_process off; pid ${scratch}/pid; error_log ${scratch}/error.log;
events {}
http {
  access_log off; sendfile on; tcp_nopush on;
  client_body_temp_path ${scratch}/body; proxy_temp_path ${scratch}/proxy; fastcgi_temp_path ${scratch}/fastcgi;
  uwsgi_temp_path ${scratch}/uwsgi; scgi_temp_path ${scratch}/scgi;
  server { listen 127.0.0.1:${port}; root ${folder}; }
}
`
  const path = join(scratch, 'nginx.conf')
  await writeFile(path, config)
  const child = spawn('nginx', ['-e', `${scratch}/error.log`, '-c', path], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  await untilItAnswers(port, child)
  return { child, url: `http://127.0.0.1:${port}` }
}

async function startNode(paths: string[]): Promise<{ child: ChildProcess; url: string }> {
  const program = join(import.meta.dirname, '../image-server.ts')
  const child = spawn(process.execPath, [program, ...paths], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  return { child, url: line.toString().trim().replace('listening ', '') }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function untilItAnswers(port: number, child: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    if (child.exitCode !== null) break
    const answers = await new Promise<boolean>((resolve) => {
      get({ host: '127.0.0.1', port, method: 'HEAD' }, (response) =>
        resolve(response.resume().complete || true),
      ).on('error', () => resolve(false))
    })
    if (answers) return
    await sleep(25)
  }
  throw new Error('the image server did not start')
}
