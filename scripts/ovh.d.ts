/** The part of OVHcloud's npm client that is used here; the package brings no types. */
declare module 'ovh' {
  interface Options {
    host: string
    port: number
    basePath?: string
    appKey: string
    appSecret: string
    consumerKey: string
  }
  interface Client {
    requestPromised(method: string, path: string, params?: unknown): Promise<unknown>
  }
  export default function ovh(options: Options): Client
}
