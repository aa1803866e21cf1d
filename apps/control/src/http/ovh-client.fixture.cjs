// Runs npm's `ovh` client, unmodified, as a customer's program would. Prints one JSON line per call.
const ovh = require('ovh')

const [, , port, appKey, appSecret, consumerKey] = process.argv
const client = ovh({ host: 'localhost', port: Number(port), appKey, appSecret, consumerKey })
const path = '/dedicated/server/ns1.example.test/bringYourOwnImage'
const calls = [
  ['GET', '/dedicated/server'],
  ['GET', '/dedicated/server/ns1.example.test'],
  ['POST', path, { URL: 'https://images.example.test/zoë.qcow2', type: 'vmdk' }],
  [
    'POST',
    path,
    {
      URL: 'https://images.example.test/a.qcow2',
      type: 'qcow2',
      configdrive: { enable: true, hostname: 'node-1', userData: 'é<&>' },
    },
  ],
  ['GET', path],
  ['DELETE', path],
  ['GET', path],
  ['GET', '/dedicated/server/ns9'],
]

async function main() {
  for (const [method, url, body] of calls) {
    const answer = await client.requestPromised(method, url, body).catch((error) => ({ failed: error }))
    process.stdout.write(`${JSON.stringify(answer)}\n`)
  }
}

void main()
