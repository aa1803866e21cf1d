/** A file of a volume to be built: its directories, its name, its bytes. Names are ASCII. */
export interface VolumeFile {
  /** Like `openstack/latest/user_data`. */
  path: string
  bytes: Uint8Array
}

export interface VolumeDirectory {
  name: string
  directories: VolumeDirectory[]
  files: { name: string; bytes: Uint8Array }[]
}

/** The directory tree of `files`, each level in the order of code units, as ECMA-119 9.3 wants it. */
export function directoryTree(files: VolumeFile[]): VolumeDirectory {
  const root: VolumeDirectory = { name: '', directories: [], files: [] }
  for (const { path, bytes } of files.toSorted((a, b) => (a.path < b.path ? -1 : 1))) {
    const names = path.split('/')
    const name = names.pop() ?? ''
    let directory = root
    for (const step of names) {
      let next = directory.directories.find((known) => known.name === step)
      if (!next) directory.directories.push((next = { name: step, directories: [], files: [] }))
      directory = next
    }
    directory.files.push({ name, bytes })
  }
  return root
}

/** A directory and all below it, parents before children, level by level. */
export function breadthFirst(root: VolumeDirectory): VolumeDirectory[] {
  const all = [root]
  for (const directory of all) all.push(...directory.directories)
  return all
}
