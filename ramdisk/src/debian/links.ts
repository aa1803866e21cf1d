import { readdir, readlink, rm, symlink } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'

/** Links that begin at `/` (`/sbin/depmod` to `/bin/kmod`) would lead to the files of this machine, or nowhere. */
export async function keepLinksInside(root: string): Promise<void> {
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isSymbolicLink()) continue
    const path = join(entry.parentPath, entry.name)
    const target = await readlink(path)
    if (!target.startsWith('/')) continue
    await rm(path)
    await symlink(relative(dirname(path), join(root, target)), path)
  }
}
