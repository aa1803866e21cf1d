import { chmod, mkdir, readdir } from 'node:fs/promises'
import { LabError } from './lab-error.ts'
import { readLab } from './lab-file.ts'

/** unix(7): a socket's path has at most 107 bytes; the longest one of a server is NAME/control.sock. */
const maxPath = 107 - '/ns999.lab.test/control.sock'.length

/**
 * Makes the lab's folder where it is not there yet. Others may pass, because the control plane's database runs as another user than
 * root, and read nothing.
 *
 * @throws {LabError} when it cannot be a lab's folder.
 */
export async function takeFolder(folder: string): Promise<void> {
  // ipmi_sim has a shell start the program that is named by its path.
  if (!/^[\w./-]+$/.test(folder)) {
    throw new LabError(`${folder} cannot be a lab's folder: its path may hold letters, digits and ._-/ only.`)
  }
  if (folder.length > maxPath) {
    throw new LabError(`${folder} is too long for Unix sockets: choose a path of at most ${maxPath} bytes.`)
  }
  await mkdir(folder, { recursive: true })
  if ((await readLab(folder)) === null && (await readdir(folder)).length > 0) {
    throw new LabError(`${folder} holds files that are not a running lab's: move them away.`)
  }
  await chmod(folder, 0o711)
}
