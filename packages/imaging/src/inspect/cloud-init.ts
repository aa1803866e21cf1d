import { type FileTree, unlessFault } from '../filesystem/file-tree.ts'
import type { CloudInit } from './inspection.types.ts'

/** More than any sound image has. */
const MOST_FILES = 64
const MOST_BYTES = 64 * 1024
const dataSourceName = /^\w{1,64}$/

/**
 * Whether a root file system brings cloud-init, and which data sources it is told to ask (cloud-init's documentation, "Base
 * configuration"): the last file that has the list decides. Null for a file system that is no root.
 */
export async function findCloudInit(tree: FileTree): Promise<Omit<CloudInit, 'partition'> | null> {
  const top = (await unlessFault(tree.list(''))) ?? []
  if (!top.includes('etc') || !top.includes('usr')) return null
  const folder = (await unlessFault(tree.list('etc/cloud'))) ?? []
  const isThere = async (path: string): Promise<boolean> => (await unlessFault(tree.read(path, 0))) !== null
  const isInstalled = folder.includes('cloud.cfg') || (await isThere('usr/bin/cloud-init'))
  return {
    isInstalled,
    isDisabled: folder.includes('cloud-init.disabled'),
    dataSources: isInstalled ? await listedSources(tree) : null,
  }
}

async function listedSources(tree: FileTree): Promise<string[] | null> {
  const parts = (await unlessFault(tree.list('etc/cloud/cloud.cfg.d'))) ?? []
  const files = parts.filter((name) => name.endsWith('.cfg')).sort()
  let listed: string[] | null = null
  for (const path of ['cloud.cfg', ...files.slice(0, MOST_FILES).map((name) => `cloud.cfg.d/${name}`)]) {
    const text = await unlessFault(tree.read(`etc/cloud/${path}`, MOST_BYTES))
    listed = (text && dataSourceList(text.toString())) ?? listed
  }
  return listed
}

/** The top-level key `datasource_list` of a YAML text, as one line, over lines in brackets, or as a list of dashes. */
export function dataSourceList(yaml: string): string[] | null {
  const text = yaml.replaceAll(/(^|\s)#.*$/gm, '$1')
  const [, inBrackets, dashes] =
    /^datasource_list[ \t]*:(?:\s*\[([^\]]*)\]|((?:\s*\n[ \t]*-[^\n]*)+))/m.exec(text) ?? []
  if (inBrackets === undefined && dashes === undefined) return null
  const names = inBrackets?.split(',') ?? dashes?.split(/\n[ \t]*-/) ?? []
  return names.map((name) => name.replaceAll(/['"\s]/g, '')).filter((name) => dataSourceName.test(name))
}
