import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { imageServer, type ImageServer } from '../scripts/image-server.ts'
import { command } from '../scripts/run-command.ts'
import { smallImage, type SmallImage } from '../scripts/small-image.ts'
import { absent, byoiRoute, labTools, startLab, untilEnded, untilForgotten, type Lab } from './support/lab.ts'

const goTools = {
  ...labTools,
  go: 'golang-go',
  '/usr/share/gocode/src/github.com/ovh/go-ovh/ovh/ovh.go': 'golang-github-ovh-go-ovh-dev',
}

interface GoAnswer {
  status: number
  message: string
  body: unknown
}

describe("OVHcloud's unmodified Go client", { skip: absent(goTools) }, () => {
  let lab: Lab
  let program: string
  let image: SmallImage
  let images: ImageServer

  async function call(endpoint: string, method: string, path: string, body?: unknown): Promise<GoAnswer> {
    const args = [endpoint, method, path, ...(body === undefined ? [] : [JSON.stringify(body)])]
    const env = {
      ...process.env,
      OVH_APPLICATION_KEY: lab.key.applicationKey,
      OVH_APPLICATION_SECRET: lab.key.applicationSecret,
      OVH_CONSUMER_KEY: lab.key.consumerKey,
      SSL_CERT_FILE: lab.control.caPath,
    }
    return JSON.parse((await command(program, args, { env, cwd: lab.folder })).toString()) as GoAnswer
  }

  before(async () => {
    lab = await startLab()
    program = join(lab.folder, 'go-ovh')
    const source = join(import.meta.dirname, 'go-ovh', 'main.go')
    // Debian's packages are a GOPATH; with modules switched on Go would look for them on the Internet.
    const go = { GO111MODULE: 'off', GOPATH: '/usr/share/gocode', GOFLAGS: '' }
    await command('go', ['build', '-o', program, source], { env: { ...process.env, ...go } })
    image = await smallImage(lab.folder, 'small', 12, 'raw')
    images = await imageServer([image.path])
  })
  after(async () => {
    await images.close()
    await lab.close()
  })

  const schemes = [
    { name: 'HTTPS', endpoint: () => `${lab.control.url}/1.0`, server: 'ns2.example.test' },
    { name: 'plain HTTP', endpoint: () => `${lab.control.httpUrl ?? ''}/1.0`, server: 'ns3.example.test' },
  ]
  for (const { name, endpoint, server } of schemes) {
    test(`POST, GET and DELETE work over ${name}`, async () => {
      await lab.addServer(server)
      // The & of the URL reaches the server as \u0026: the signature must be checked over the bytes as sent.
      const body = { URL: `${images.urlOf(image.path)}?a=1&b=2`, type: 'raw' }
      const posted = await call(endpoint(), 'POST', byoiRoute(server), body)
      assert.deepEqual(posted, { status: 200, message: '', body: null })
      const view = await untilEnded(lab.client, server)
      assert.equal(view.state, 'done', JSON.stringify(view.error ?? view.hold))
      const status = await call(endpoint(), 'GET', byoiRoute(server))
      assert.equal((status.body as { status: string }).status, 'done')
      const deleted = await call(endpoint(), 'DELETE', byoiRoute(server))
      assert.deepEqual(deleted, { status: 200, message: '', body: null })
      await untilForgotten(lab.client, view.id)
      assert.equal((await call(endpoint(), 'GET', byoiRoute(server))).status, 404)
    })
  }
})
